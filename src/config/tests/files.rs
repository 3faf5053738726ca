//! Files that are missing, unreadable or copies.

use super::*;

#[test]
fn faults_name_the_original_of_a_credential() {
    let directory = Folder::new("credential");
    directory.write("of-a-test.toml", "[mqtt]\nuser = \"u\"\npassword-file = \"p\"");
    let environment = Environment::from([("CREDENTIALS_DIRECTORY", directory.path())]);
    let copy = PathBuf::from(directory.path()).join("of-a-test.toml");
    let source = Source::find(Some(copy.clone()), &environment);
    let original = PathBuf::from("/etc/mqtt-bridge/of-a-test.toml");
    assert_eq!(source, Source::Credential { copy: copy.clone(), original: original.clone() });
    let fault = Config::load(&source, &environment).unwrap_err().to_string();
    let start = "/etc/mqtt-bridge/of-a-test.toml:3: `/etc/mqtt-bridge/p` cannot be read: ";
    assert!(fault.starts_with(start), "a relative path lies beside the original: {fault}");

    directory.write("of-a-test.toml", "[mqtt]\nport = 1");
    let mqtt = Config::load(&source, &environment).unwrap().mqtt;
    assert_eq!(mqtt.address(), "127.0.0.1:1", "the copy is read");
    let by_hand = Config::parse("", &Source::File(original), &Environment::default()).unwrap().mqtt;
    assert_eq!(mqtt.client_id, by_hand.client_id, "the name at the broker is that of the original");

    directory.write("of-a-test.toml", "\n");
    assert_eq!(Source::find(Some(copy.clone()), &environment), Source::BuiltIn, "there is no such file");
    assert_eq!(Source::find(Some(copy.clone()), &Environment::default()), Source::File(copy));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_with_its_path() {
    let source = Source::File("/nonexistent/bridge.toml".into());
    let fault = Config::load(&source, &Environment::default()).unwrap_err();
    assert_eq!(fault.to_string(), "/nonexistent/bridge.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_no_utf_8_is_a_fault_with_its_line() {
    let folder = Folder::new("utf-8");
    let path = PathBuf::from(folder.path()).join("bridge.toml");
    std::fs::write(&path, b"[mqtt]\nserver = \"\xff\"").unwrap();
    let fault = Config::load(&Source::File(path.clone()), &Environment::default()).unwrap_err();
    assert_eq!(fault.to_string(), format!("{}:2: must be UTF-8 text", path.display()));
}

#[test]
fn an_unreadable_file_is_a_fault_and_not_ignored() {
    let endless = Config::load(&Source::File("/dev/zero".into()), &Environment::default()).unwrap_err();
    assert_eq!(endless.to_string(), "/dev/zero: cannot be read: it is longer than 1048576 bytes");
    let folder = Folder::new("dangling");
    let credential = PathBuf::from(folder.path()).join("mqtt-password");
    std::os::unix::fs::symlink("nowhere", &credential).unwrap();
    assert!(is_there(&credential));
    let fault = parse_with("", &Environment::from([("CREDENTIALS_DIRECTORY", folder.path())])).unwrap_err();
    assert!(fault.to_string().starts_with("credential mqtt-password: "), "{fault}");
}
