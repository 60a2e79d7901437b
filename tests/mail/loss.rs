//! A promised mail arrives, whatever fails in between; one that arrives twice is the same mail.

use std::{collections::HashSet, sync::mpsc::channel, thread, time::Duration};

use rustix::process::Signal;

use crate::{
    last_error, mail_server,
    proxy::{Manner, Proxy},
    server::{Listener, MailServer},
    shop,
    shop::{try_to_sign_up, wait_for},
    shop_behind, stop, told_nothing, wait_until_sent,
};

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_whose_receipt_is_lost_arrives_twice_at_most_and_is_the_same() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::CutsAfterMail);
    let shop = shop_behind(proxy.port());
    let server = shop.serve();
    let to = "receipt@example.com";
    server.sign_up(to).is(201);
    wait_for("a connection to be cut", || (proxy.cuts() == 1).then_some(()));
    proxy.becomes(Manner::Honest);
    // It may have arrived, so it is not sent again by itself for a while.
    last_error(&shop, to);
    shop.run(&["messages", "retry"]).is(0);
    wait_until_sent(&shop);
    let mails = wait_for("both", || Some(mail_server().mails_to(to)).filter(|mails| mails.len() > 1));
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].message_id(), mails[1].message_id());
    assert_eq!(mails[0].header("Date"), mails[1].header("Date"));
    assert_eq!((&mails[0].text, &mails[0].html), (&mails[1].text, &mails[1].html));
    stop(server, &mails);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_that_is_cut_off_arrives_once() {
    for (number, manner) in [Manner::CutsFrom("RCPT TO"), Manner::CutsFrom("DATA"), Manner::CutsWithinMail]
        .into_iter()
        .enumerate()
    {
        let proxy = Proxy::start(mail_server().port(Listener::Plain), manner);
        let shop = shop_behind(proxy.port());
        let server = shop.serve();
        let to = format!("cut-off-{number}@example.com");
        server.sign_up(&to).is(201);
        assert_eq!(
            last_error(&shop, &to),
            format!("localhost:{} closed the connection", proxy.port()),
            "{manner:?}"
        );
        proxy.becomes(Manner::Honest);
        shop.run(&["messages", "retry"]).is(0);
        wait_until_sent(&shop);
        mail_server().mail_to(&to);
        let mails = mail_server().mails_to(&to);
        assert_eq!(mails.len(), 1);
        stop(server, &mails);
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_server_that_is_killed_at_any_moment_loses_no_mail() {
    const ROUNDS: u64 = 40;
    const CONNECTIONS: usize = 16;
    let mail_server = MailServer::start();
    let shop = shop(&mail_server, Listener::Tls);
    let mut promised = Vec::new();
    let mut ended = Vec::new();
    for round in 0..ROUNDS {
        let mut server = shop.serve();
        let (address, (begun, first)) = (server.address, channel());
        let people = thread::spawn(move || {
            let addresses = (0..).map(|number| format!("round-{round}-{number}@example.com"));
            let signed_up = addresses.map_while(|to| {
                let reply = try_to_sign_up(address, &to).ok().filter(|reply| reply.status == 201);
                let _ = begun.send(());
                reply.map(|_| to)
            });
            signed_up.collect::<Vec<_>>()
        });
        first.recv().unwrap();
        // While mails are written and others are sent, in steps that share no rhythm with that.
        thread::sleep(Duration::from_millis(round * 37 % 240));
        server.signal(Signal::KILL);
        ended.push(server.ended());
        promised.extend(people.join().unwrap());
    }
    let before = mail_server.mails().len();
    let server = shop.serve();
    wait_until_sent(&shop);
    wait_for("every mail", || {
        let arrived: HashSet<_> = mail_server.mails().into_iter().map(|mail| mail.to).collect();
        promised.iter().all(|to| arrived.contains(to)).then_some(())
    });
    let mails = mail_server.mails();
    let mut twice = 0;
    for to in &promised {
        let ids: Vec<_> = mails.iter().filter(|mail| mail.to == *to).map(|mail| mail.message_id()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{to}: {ids:?}");
        twice += usize::from(ids.len() > 1);
    }
    // What was under way on a connection when the server was killed is sent again: no more than that.
    assert!(
        before > 0 && twice <= ended.len() * CONNECTIONS,
        "{before} before the end, {twice} of {} twice",
        mails.len()
    );
    for ran in &ended {
        told_nothing(ran, &mails);
    }
    stop(server, &mails);
}
