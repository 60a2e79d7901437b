//! The pages behind the links.

use serde_json::{Value, json};

use crate::{
    Open,
    browser::{Browser, ENTER, TAB},
    shop::{PASSWORD, wait_for},
};

/// How a page looks to those who see it.
pub const LOOK: &str = include_str!("look.js");
/// How it is built, for those who do not.
const BUILD: &str = include_str!("build.js");
/// Whether anything has to be scrolled sideways: the body of a function.
pub const WIDER_THAN_THE_WINDOW: &str =
    "return document.documentElement.scrollWidth > document.documentElement.clientWidth";

const ANN: &str = "ann@example.com";
const ANOTHER_PASSWORD: &str = "latte waits outside";
const DEAD: &str = "This link no longer works";

/// As long as the parts of an address may be, without a place to break it.
fn long_address() -> String {
    format!("{}@{}.{}.example", "w".repeat(64), "m".repeat(63), "w".repeat(63))
}

/// Leads a browser to every kind of page, with everything in this shop's accounts, and stops at each.
fn see_every_page(open: &Open, browser: &Browser, email: &str, mut look: impl FnMut(&str)) {
    let mut see = |name: &str, heading: &str| {
        browser.has_heading(heading);
        look(name);
    };
    let link = open.sign_up(email);
    browser.open(&link);
    see("confirm", "Confirm your address");
    browser.press("Yes, confirm my address");
    see("confirmed", "Your address is confirmed");
    browser.open(&link);
    see("used-link", DEAD);
    browser.fill("Your e-mail address", &email.replace('@', " at "));
    browser.press("Send a new link");
    see("no-address", "Request a new link");
    browser.fill("Your e-mail address", email);
    browser.press("Send a new link");
    see("new-link", "Check your inbox");
    browser.open(&format!("{}/reset", open.url));
    see("forgotten", "Choose a new password");
    browser.fill("Your e-mail address", email);
    browser.press("Send me a link");
    see("forgotten-sent", "Check your inbox");
    let link = open.link(email, 2);
    browser.open(&link);
    see("reset", "Choose a new password");
    choose(browser, "password1", "password1");
    see("reset-too-easy", "Choose a new password");
    choose(browser, ANOTHER_PASSWORD, ANOTHER_PASSWORD);
    see("reset-done", "Your password is set");
    browser.open(&link);
    see("reset-used-link", DEAD);
    let other = format!("x{}", &email[1..]);
    browser.open(&open.invite(&other));
    see("invitation", "Welcome! Choose a password");
    browser.press("Delete this account");
    see("invitation-declined", "The account was deleted");
    browser.open(&open.change_email("boss@example.com", &format!("y{}", &email[1..])));
    see("new-address", "Confirm your new address");
    browser.press("This was not me");
    see("new-address-declined", "Nothing was changed");
    // A parameter twice is no form that can be read.
    browser.open(&format!("{}/verify?token=a&token=b", open.url));
    see("refused", "That did not work");
}

/// Types two passwords and sends them.
#[track_caller]
fn choose(browser: &Browser, password: &str, again: &str) {
    browser.fill("New password", password);
    browser.fill("Repeat the new password", again);
    browser.press("Set password");
}

fn log_in(open: &Open, email: &str, password: &str) -> u16 {
    open.server.post("/auth/login", &json!({ "email": email, "password": password })).status
}

fn status(open: &Open, email: &str) -> String {
    open.shop.sql.stored(&format!("SELECT status FROM users WHERE email = '{email}'"))
}

#[track_caller]
fn nothing(wrong: &Value, page: &str) {
    assert_eq!(wrong, &json!([]), "on the page {page}");
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn opening_a_link_changes_nothing_and_a_button_does() {
    let open = Open::new();
    let browser = Browser::start();
    browser.open(&open.sign_up(ANN));
    browser.reload();
    browser.says(ANN);
    assert_eq!(status(&open, ANN), "unverified");
    browser.press("Yes, confirm my address");
    browser.has_heading("Your address is confirmed");
    assert_eq!(status(&open, ANN), "verified");

    browser.open(&open.forgot_password(ANN, 2));
    browser.reload();
    browser.says(ANN);
    assert_eq!(log_in(&open, ANN, PASSWORD), 200);
    choose(&browser, ANOTHER_PASSWORD, ANOTHER_PASSWORD);
    browser.has_heading("Your password is set");
    assert_eq!((log_in(&open, ANN, PASSWORD), log_in(&open, ANN, ANOTHER_PASSWORD)), (401, 200));
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn a_used_or_expired_link_offers_a_form_that_works() {
    let open = Open::new();
    let browser = Browser::start();
    // A newer message takes the place of the first.
    let old = open.sign_up(ANN);
    open.server.post("/auth/verify/resend", &json!({ "email": ANN })).is(202);
    open.link(ANN, 2);
    browser.open(&old);
    browser.has_heading(DEAD);
    browser.says("request a new link");
    browser.fill("Your e-mail address", ANN);
    browser.press("Send a new link");
    browser.has_heading("Check your inbox");
    let link = open.link(ANN, 3);
    browser.open(&link);
    browser.press("Yes, confirm my address");
    browser.has_heading("Your address is confirmed");
    browser.open(&link);
    browser.has_heading(DEAD);
    browser.says("just log in");

    let link = open.forgot_password(ANN, 4);
    browser.open(&link);
    choose(&browser, ANOTHER_PASSWORD, ANOTHER_PASSWORD);
    browser.has_heading("Your password is set");
    browser.open(&link);
    browser.has_heading(DEAD);
    browser.fill("Your e-mail address", ANN);
    browser.press("Send me a link");
    browser.has_heading("Check your inbox");
    // The fifth says that the password was changed.
    let link = open.link(ANN, 6);
    browser.open(&link);
    browser.has_heading("Choose a new password");

    // One whose time runs out under the eyes of its reader.
    open.shop.sql.execute("UPDATE codes SET token_expires_at = 0");
    choose(&browser, PASSWORD, PASSWORD);
    browser.has_heading(DEAD);
    browser.open(&link);
    browser.has_heading(DEAD);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn who_was_not_meant_deletes_the_account_or_keeps_its_old_address() {
    let open = Open::new();
    let browser = Browser::start();
    let accounts = open.accounts();
    browser.open(&open.sign_up(ANN));
    browser.press("This was not me");
    browser.has_heading("The account was deleted");
    assert_eq!(open.accounts(), accounts);

    browser.open(&open.invite("bob@example.com"));
    assert_eq!(open.accounts(), accounts + 1);
    browser.press("Delete this account");
    browser.has_heading("The account was deleted");
    assert_eq!(open.accounts(), accounts);

    browser.open(&open.change_email("boss@example.com", "chief@example.com"));
    browser.press("This was not me");
    browser.has_heading("Nothing was changed");
    assert_eq!(log_in(&open, "boss@example.com", PASSWORD), 200);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn an_invalid_field_is_explained_and_the_form_can_be_resent() {
    let open = Open::new();
    let browser = Browser::start();
    open.verified(ANN);
    browser.open(&open.forgot_password(ANN, 2));
    for (password, again, why) in [
        ("short", "short", "The new password must have at least 8 characters."),
        ("password1", "password1", "too easy to guess"),
        (ANOTHER_PASSWORD, "latte waits inside", "The two passwords do not match."),
    ] {
        choose(&browser, password, again);
        browser.says(why);
        nothing(&browser.run(BUILD), why);
        assert!(browser.title().starts_with("Error: Choose a new password"), "{}", browser.title());
    }
    choose(&browser, ANOTHER_PASSWORD, ANOTHER_PASSWORD);
    browser.has_heading("Your password is set");
    assert_eq!(log_in(&open, ANN, ANOTHER_PASSWORD), 200);

    // What a browser's own check would not let through.
    browser.open(&format!("{}/reset", open.url));
    for (typed, why) in [("", "must not be empty"), ("ann", "must look like name@example.com")] {
        browser.fill("Your e-mail address", typed);
        browser.press("Send me a link");
        browser.says(&format!("The address {why}."));
        nothing(&browser.run(BUILD), why);
        assert_eq!(browser.run("return document.querySelector('#email').value"), typed);
    }
    browser.fill("Your e-mail address", "zoë@café.example");
    browser.press("Send me a link");
    browser.has_heading("Check your inbox");
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn everything_works_by_keyboard_alone() {
    let open = Open::new();
    let browser = Browser::start();
    browser.open(&open.sign_up(ANN));
    tab_to(&browser, "Yes, confirm my address");
    browser.type_keys(ENTER);
    browser.has_heading("Your address is confirmed");

    browser.open(&format!("{}/reset", open.url));
    tab_to(&browser, "Your e-mail address");
    browser.type_keys(&format!("{ANN}{ENTER}"));
    browser.has_heading("Check your inbox");

    browser.open(&open.link(ANN, 2));
    tab_to(&browser, "New password");
    browser.type_keys("latte");
    tab_to(&browser, "Repeat the new password");
    browser.type_keys(&format!("latte{ENTER}"));
    browser.says("must have at least 8 characters");
    // The focus is where something is to be done, as soon as all of the page is there.
    wait_for("the focus", || (focused(&browser) == "New password").then_some(()));
    browser.type_keys(ANOTHER_PASSWORD);
    tab_to(&browser, "Repeat the new password");
    browser.type_keys(ANOTHER_PASSWORD);
    tab_to(&browser, "Set password");
    browser.type_keys(ENTER);
    browser.has_heading("Your password is set");

    browser.open(&open.sign_up("bob@example.com"));
    tab_to(&browser, "Yes, confirm my address");
    tab_to(&browser, "This was not me");
    browser.type_keys(" ");
    browser.has_heading("The account was deleted");
}

/// What has the focus: the label of a field, or what is on a button.
fn focused(browser: &Browser) -> Value {
    browser.run(
        "const at = document.activeElement;
         return (at.labels?.[0] ?? at).textContent.trim()",
    )
}

/// Strikes the tabulator once, and sees that this has the focus, and that it is seen to have it.
#[track_caller]
fn tab_to(browser: &Browser, what: &str) {
    browser.type_keys(TAB);
    assert_eq!(focused(browser), what);
    let outline = browser.run(
        "const style = getComputedStyle(document.activeElement);
         return [style.outlineStyle, parseFloat(style.outlineWidth) >= 2,
                 style.outlineColor === getComputedStyle(document.querySelector('.shop')).color]",
    );
    assert_eq!(outline, json!(["solid", true, true]), "the outline has the colour of the shop's name");
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn everything_works_with_scripts_switched_off() {
    let open = Open::new();
    let browser = Browser::without_scripts();
    browser.open("data:text/html,<h1>off</h1><script>document.querySelector('h1').textContent='on'</script>");
    browser.has_heading("off");
    let mut pages = 0;
    see_every_page(&open, &browser, ANN, |_| pages += 1);
    assert!(pages > 10);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn pages_load_nothing_from_other_hosts_and_keep_their_policy() {
    let open = Open::new();
    let browser = Browser::start();
    let mut asked = Vec::new();
    see_every_page(&open, &browser, ANN, |page| {
        let mut complaints = browser.complaints();
        // That the answer was a refusal is no surprise there.
        complaints.retain(|complaint| page != "refused" || !complaint.contains("with a status of 400"));
        assert_eq!(complaints, [""; 0], "on the page {page}");
        asked.extend(browser.asked_for());
        nothing(&browser.run(BUILD), page);
    });
    assert!(asked.contains(&format!("{}/pages.css", open.url)), "{asked:?}");
    asked
        .retain(|url| !url.starts_with(&format!("{}/", open.url)) && url != "data:," && url != "about:blank");
    assert_eq!(asked, [""; 0]);

    // If a page did, it would be seen: nothing is let in, and that is complained about.
    browser.run("document.body.append(Object.assign(new Image(), { src: 'http://other.example/' }))");
    wait_for("a complaint", || browser.complaints().pop());
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn nothing_scrolls_sideways_on_the_narrowest_screen() {
    let long_name = "Café Zwölfboxkämpferjagenviktorquerüberdengroßensylterdeich & Söhne".to_owned();
    let open = Open::with([("MESSAGES__SHOP_NAME", long_name)]);
    let browser = Browser::start();
    browser.resize(320, 568);
    see_every_page(&open, &browser, &long_address(), |page| {
        browser.picture(&format!("narrow-{page}"));
        assert_eq!(browser.run(WIDER_THAN_THE_WINDOW), json!(false), "the page {page} is too wide");
        // Text spacing as readers may set it (WCAG 2.2, 1.4.12), and text twice as large (1.4.4).
        browser.run(
            "for (const { style } of document.querySelectorAll('*')) {
               style.setProperty('line-height', '1.5', 'important');
               style.setProperty('letter-spacing', '.12em', 'important');
               style.setProperty('word-spacing', '.16em', 'important');
             }
             document.documentElement.style.fontSize = '200%'",
        );
        assert_eq!(
            browser.run(WIDER_THAN_THE_WINDOW),
            json!(false),
            "the page {page} is too wide with wide text"
        );
    });
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn light_and_dark_differ_and_both_have_enough_contrast() {
    let open = Open::new();
    let browser = Browser::start();
    for (width, height, window) in [(390, 844, "phone"), (1280, 800, "desktop")] {
        browser.resize(width, height);
        see_every_page(&open, &browser, &format!("{window}@example.com"), |page| {
            let mut colours = ["light", "dark"].map(|scheme| {
                browser.prefer(scheme);
                browser.picture(&format!("{window}-{scheme}-{page}"));
                nothing(&browser.run(LOOK), &format!("{page} in the {scheme}"));
                browser.run(
                    "return ['body', '.card', '.shop', 'h1'].map((css) => {
                       const { color, backgroundColor } = getComputedStyle(document.querySelector(css));
                       return [color, backgroundColor];
                     })",
                )
            });
            let [light, dark] = colours.each_mut().map(|colours| colours.as_array().unwrap().clone());
            assert!(light.iter().zip(&dark).all(|(light, dark)| light != dark), "{light:?} and {dark:?}");
        });
    }
}
