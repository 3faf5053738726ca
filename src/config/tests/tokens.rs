//! `[[token]]`.

use super::*;

#[test]
fn each_fault_of_a_token_is_one_line_too() {
    let token = TOKEN_WITHOUT_NAME.replace("[[token]]\n", "[[token]]\nname = \"a\"\n");
    for (line, start) in [
        ("publish = \"a\"", "bridge.toml:4: `publish` must be a list of topic filters in brackets, not \"a\""),
        ("publish = [\"a#\"]", "bridge.toml:4: `publish` `#` must be the last level, and all of it: \"a#\""),
        ("publish = [\"a\", 1]", "bridge.toml:4: `publish` must be a string, not 1"),
        (
            "subscribe = [\"$share/g/a\"]",
            "bridge.toml:4: `subscribe` must name no shared subscription, but what is in it: \"$share/g/a\"",
        ),
        ("rate = 0", "bridge.toml:4: `rate` must be a number of messages per second above 0 and up to 1000000, not 0"),
        ("rate = 1000001", "bridge.toml:4: `rate` must be"),
        ("rate = nan", "bridge.toml:4: `rate` must be"),
        ("rate = -0.5", "bridge.toml:4: `rate` must be"),
        ("rate = \"fast\"", "bridge.toml:4: `rate` must be"),
        ("response-topics = [\"a/+\", \"+a\"]", "bridge.toml:4: `response-topics` `+` must be"),
        (
            "max-subscriptions = 1001",
            "bridge.toml:4: `max-subscriptions` must be a whole number from 0 to 1000, not 1001",
        ),
        (
            "max-listeners = 201",
            "bridge.toml:4: `max-listeners` must be a whole number from 0 to 200, not 201: 200 is the `max-listeners` of all",
        ),
        ("max-waiting = 0", "bridge.toml:4: `max-waiting` must be a whole number from 1 to 2000, not 0"),
        ("sees = \"mine\"", "bridge.toml:4: `sees` must be \"all\" or \"own\", not \"mine\""),
        ("secret = 1", "bridge.toml:4: unknown field `secret`, expected one of `name`, `sha256`, `publish`"),
    ] {
        let fault = fault(&format!("{token}\n{line}"));
        assert!(fault.starts_with(start), "{line:?} gives {fault:?}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
    let same_name = fault(&format!("{token}\n{}", token.replace("0000", "1111")));
    assert_eq!(same_name, "bridge.toml:5: this `name` is there twice: each [[token]] needs one of its own");
    let same_secret = fault(&format!("{token}\n{}", token.replace("\"a\"", "\"b\"")));
    assert_eq!(same_secret, "bridge.toml:6: this `sha256` is there twice: each [[token]] needs a secret of its own");
}

#[test]
fn a_secret_instead_of_its_hash_is_not_shown() {
    for text in [
        "[[token]]\nname = \"a\"\nsha256 = \"hush\"",
        "[[token]]\nname = \"a\"\nsha256 = [\"hush\"]",
        "[[token]]\nname = \"a\"\nsha256 = hush",
        "[[token]]\nname = \"a\"\nsha256 = \"hush",
        "\n\ntoken = \"hush\"",
        "\n\ntoken = [\"hush\"]",
    ] {
        let fault = fault(text);
        assert!(fault.starts_with("bridge.toml:3: ") && !fault.contains("hush"), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
    let hint = fault("[[token]]\nname = \"a\"\nsha256 = \"hush\"");
    assert_eq!(
        hint,
        "bridge.toml:3: `sha256` must be a string of 64 hexadecimal digits, the SHA-256 of a secret: \
         `mqtt-bridge --new-token NAME` makes both"
    );
}
