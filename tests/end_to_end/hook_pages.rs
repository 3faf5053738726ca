//! A page in a browser that knows the URL of a hook. Over plain HTTP a browser sends the fewest headers about it.

use crate::support::hook::{Hook, talkative};
use crate::support::mosquitto::Mosquitto;
use crate::support::reader::Reader;

/// Each way in which a page can make the browser fetch a URL, with as few headers as possible.
const PAGE: &str = r"<html><head></head><body><script>
const add = (name, at, more) => at.append(Object.assign(document.createElement(name), { referrerPolicy: 'no-referrer', ...more }));
add('img', document.body, { src: 'URL?image' });
add('iframe', document.body, { src: 'URL?frame' });
add('script', document.head, { src: 'URL?script' });
add('link', document.head, { rel: 'stylesheet', href: 'URL?style' });
add('link', document.head, { rel: 'prefetch', href: 'URL?prefetch' });
const little = { mode: 'no-cors', credentials: 'omit', referrerPolicy: 'no-referrer', headers: { 'Accept-Language': '*' } };
fetch('URL?fetch', little).catch(() => {});
add('img', document.body, { src: 'OPEN?image' });
</script></body></html>";
const WAYS: usize = 6;

#[test]
fn no_page_can_call_a_hook_that_does_not_allow_browsers() {
    let broker = Mosquitto::start();
    let (hook, open) = (Hook::new("door", "GET", "a", ""), Hook::new("open", "GET", "b", "allow-browsers = true"));
    let http = "[http]\nallowed-hosts = [\"bridge.test\"]\n";
    let daemon = talkative(broker.port(), &format!("{}{}{http}", hook.table, open.table));
    let port = daemon.address().rsplit_once(':').unwrap().1;
    let url = |hook: &Hook| format!("http://bridge.test:{port}{}", hook.path);
    let reader = Reader::of(&broker);
    reader.save("page.html", &PAGE.replace("URL", &url(&hook)).replace("OPEN", &url(&open)));
    // a name, as loopback counts as a secure connection
    let options =
        "--headless --no-sandbox --disable-gpu --user-data-dir=profile --virtual-time-budget=60000 --dump-dom";
    let resolved = "--host-resolver-rules='MAP bridge.test 127.0.0.1'";
    let _window = reader.shell(&format!("exec chromium {options} {resolved} \"file://$PWD/page.html\""));
    daemon.wait_for_nth(WAYS, "GET /hooks/door/… is answered with 403");
    daemon.wait_for("hook open publishes to b");
    daemon.wait_for("GET /hooks/open/… is answered with 200");
    assert_eq!(daemon.lines_with("hook door publishes").len(), 0);
    assert_eq!(daemon.lines_with("unauthorized").len(), 0);
}
