//! The example of a web app on another origin, in a browser.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    thread,
};

use serde_json::json;

use crate::{
    Open,
    browser::Browser,
    free_port,
    shop::{PASSWORD, wait_for},
};

const PAGE: &str = include_str!("../../examples/web-app/index.html");

/// Serves the example for an API at `api`, for as long as the tests run; answers its port.
fn serve_page(port: u16, api: &str) {
    let page = PAGE.replace("http://localhost:8080", api);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
}

fn greeting(browser: &Browser, wanted: &str) {
    wait_for(wanted, || {
        let seen = browser.run("return document.querySelector('#greeting').textContent");
        (seen == wanted).then_some(())
    });
}

#[test]
#[ignore = "needs a browser: .ci/run starts it"]
fn the_example_logs_in_refreshes_once_for_two_tabs_and_logs_out() {
    let port = free_port();
    let page = format!("http://localhost:{port}");
    let open = Open::with([("SERVER__CORS_ORIGINS", page.clone())]);
    serve_page(port, &open.url);
    open.verified("ann@example.com");
    let browser = Browser::start();
    browser.open(&page);
    let log_in = |password: &str| {
        let script = format!(
            "login.email.value = 'ann@example.com'; login.password.value = {}; login.requestSubmit()",
            json!(password)
        );
        browser.run(&script);
    };

    log_in("wrong entirely");
    wait_for("a refusal", || {
        let seen = browser.run("return greeting.textContent");
        seen.as_str().is_some_and(|text| text.contains("password")).then_some(())
    });
    log_in(PASSWORD);
    greeting(&browser, "Hello ann@example.com");

    // The access token is not good any more; two tabs (here: two requests) ask at once, and the session goes on.
    browser.run("localStorage.setItem('tokens', JSON.stringify({ ...tokens(), access_token: 'expired' }))");
    browser.run("window.refreshes = 0; const sent = fetch; window.fetch = (url, ...rest) => { refreshes += url.endsWith('/auth/refresh'); return sent(url, ...rest); }");
    browser.run("window.both = Promise.all([get('/me'), get('/me')]).then(users => { window.seen = users.map(user => user.email); })");
    wait_for("both answers", || (browser.run("return window.seen") != json!(null)).then_some(()));
    assert_eq!(browser.run("return window.seen"), json!(["ann@example.com", "ann@example.com"]));
    assert_eq!((browser.run("return refreshes"), open.shop.count("sessions")), (json!(1), 1));

    browser.run("logout.click()");
    greeting(&browser, "");
    wait_for("the end of the session", || (open.shop.count("sessions") == 0).then_some(()));
}
