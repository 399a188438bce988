//! Conversations of clients, step by step.

use super::*;
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

const SALT: Salt = *b"abcdefghijklmnopqrst";
const NEXT: Salt = *b"ABCDEFGHIJKLMNOPQRST";
/// What MySQL stores for the password `hashcat`; a published example.
const STORED: &[u8] =
    b"$A$005$\xF9\xCC\x98\xCE\x08\x89\x29\x24\xF5\x0A\x21\x3B\x6B\xC5\x71\xA2\xC1\x17\x78\xC5\
                       bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/";

fn sha2_account() -> Account {
    account(SHA2, STORED)
}

fn native_account() -> Account {
    account(NATIVE, b"*14E65567ABDB5135D0CFD9A70B3032C179A49EE7")
}

fn account(plugin: &str, stored: &[u8]) -> Account {
    Account {
        user: "u".into(),
        host: "%".into(),
        plugin: plugin.into(),
        authentication_string: stored.to_vec(),
    }
}

fn login(account: Option<Account>, plugin: &str, answer: &[u8]) -> Login {
    Login {
        account,
        plugin: Some(plugin.into()),
        answer: answer.to_vec(),
        salt: SALT,
        can_switch: true,
        ask_again: false,
        next_salt: NEXT,
        transport: Transport::Tls,
    }
}

fn exchange(login: Login) -> Exchange {
    let key = LoginKey::open_or_create(None).unwrap();
    Exchange::new(login, Arc::default(), Arc::new(key))
}

/// What a step says, short.
fn shown(exchange: &mut Exchange, step: Step) -> String {
    match step {
        Step::Send(payload) => match payload[0] {
            0xfe => format!("switch {}", String::from_utf8_lossy(&payload[1..]).replace('\0', " ")),
            _ if payload.len() > 2 => "key".into(),
            _ => format!("more {}", payload[1]),
        },
        Step::Verify(verification) => {
            let digest = verification.run();
            let step = exchange.verified(digest);
            format!("verified, {}", shown(exchange, step))
        }
        Step::Accept(Some(payload)) => format!("more {}, accepted", payload[1]),
        Step::Accept(None) => "accepted".into(),
        Step::Reject => format!("rejected, used password: {}", exchange.used_password()),
        Step::Unsupported => "unsupported".into(),
    }
}

/// Starts a login and brings these packets, then lists the steps.
fn talk(exchange: &mut Exchange, packets: &[&[u8]]) -> Vec<String> {
    let step = exchange.start();
    let mut steps = vec![shown(exchange, step)];
    for packet in packets {
        let step = exchange.packet(packet);
        steps.push(shown(exchange, step));
    }
    steps
}

fn sha2_answer(password: &[u8]) -> Vec<u8> {
    scramble_sha256(&SALT, password).unwrap().to_vec()
}

#[test]
fn native_password_right_and_wrong() {
    let answer = scramble_native(&SALT, b"secret").unwrap();
    let mut right = exchange(login(Some(native_account()), NATIVE, &answer));
    assert_eq!(talk(&mut right, &[]), ["accepted"]);
    let answer = scramble_native(&SALT, b"wrong").unwrap();
    let mut wrong = exchange(login(Some(native_account()), NATIVE, &answer));
    assert_eq!(talk(&mut wrong, &[]), ["rejected, used password: true"]);
}

#[test]
fn client_with_the_default_method_switches_to_native() {
    let mut exchange = exchange(login(Some(native_account()), SHA2, &sha2_answer(b"secret")));
    let answer = scramble_native(&NEXT, b"secret").unwrap();
    let switch = "switch mysql_native_password ABCDEFGHIJKLMNOPQRST ";
    assert_eq!(talk(&mut exchange, &[&answer]), [switch, "accepted"]);
    assert_eq!(exchange.salt(), NEXT);
}

#[test]
fn native_client_switches_to_sha2() {
    let answer = scramble_native(&SALT, b"secret").unwrap();
    let mut exchange = exchange(login(Some(sha2_account()), NATIVE, &answer));
    let answer = scramble_sha256(&NEXT, b"hashcat").unwrap();
    let switch = "switch caching_sha2_password ABCDEFGHIJKLMNOPQRST ";
    assert_eq!(
        talk(&mut exchange, &[&answer, b"hashcat\0"]),
        [switch, "more 4", "verified, accepted"]
    );
}

#[test]
fn client_that_cannot_switch_is_told_so() {
    let mut wanted = login(Some(sha2_account()), NATIVE, b"x");
    wanted.can_switch = false;
    wanted.plugin = None;
    assert_eq!(talk(&mut exchange(wanted), &[]), ["unsupported"]);
}

#[test]
fn client_that_cannot_switch_needs_no_method_for_no_password() {
    for (stored, outcome) in [(&b""[..], "accepted"), (b"x", "rejected, used password: false")] {
        let mut wanted = login(Some(account(SHA2, stored)), NATIVE, b"");
        wanted.can_switch = false;
        wanted.plugin = None;
        assert_eq!(talk(&mut exchange(wanted), &[]), [outcome]);
    }
}

#[test]
fn full_login_makes_the_next_one_fast() {
    let mut first = exchange(login(Some(sha2_account()), SHA2, &sha2_answer(b"hashcat")));
    assert_eq!(talk(&mut first, &[b"hashcat\0"]), ["more 4", "verified, accepted"]);
    let again = login(Some(sha2_account()), SHA2, &sha2_answer(b"hashcat"));
    let mut second = Exchange::new(again, first.cache.clone(), first.key.clone());
    assert_eq!(talk(&mut second, &[]), ["more 3, accepted"]);

    let mut changed = sha2_account();
    changed.authentication_string.pop();
    changed.authentication_string.push(b'x');
    let stale = login(Some(changed), SHA2, &sha2_answer(b"hashcat"));
    let mut third = Exchange::new(stale, first.cache.clone(), first.key.clone());
    let steps = talk(&mut third, &[b"hashcat\0"]);
    assert_eq!(steps, ["more 4", "verified, rejected, used password: true"]);
}

#[test]
fn plain_tcp_seals_the_password() {
    let mut wanted = login(Some(sha2_account()), SHA2, &sha2_answer(b"hashcat"));
    wanted.transport = Transport::Plain;
    let mut exchange = exchange(wanted);
    let mut mixed = b"hashcat\0".to_vec();
    mixed.iter_mut().zip(SALT).for_each(|(byte, salt)| *byte ^= salt);
    let pem = exchange.key.public_pem().to_string();
    let sealed = mysql_common::crypto::encrypt(&mixed, pem.as_bytes()).unwrap();
    assert_eq!(talk(&mut exchange, &[&[2], &sealed]), ["more 4", "key", "verified, accepted"]);
}

#[test]
fn plain_tcp_never_takes_a_clear_password() {
    let mut wanted = login(Some(sha2_account()), SHA2, &sha2_answer(b"hashcat"));
    wanted.transport = Transport::Plain;
    let steps = talk(&mut exchange(wanted), &[b"hashcat\0"]);
    assert_eq!(steps, ["more 4", "verified, rejected, used password: true"]);
}

#[test]
fn unknown_user_is_like_a_wrong_password() {
    let mut unknown = exchange(login(None, SHA2, &sha2_answer(b"x")));
    let mut wrong = exchange(login(Some(sha2_account()), SHA2, &sha2_answer(b"x")));
    assert_eq!(talk(&mut unknown, &[b"x\0"]), talk(&mut wrong, &[b"x\0"]));
    let mut unknown = exchange(login(None, SHA2, b""));
    let mut wrong = exchange(login(Some(sha2_account()), SHA2, b""));
    let steps = talk(&mut unknown, &[]);
    assert_eq!(steps, ["rejected, used password: false"]);
    assert_eq!(steps, talk(&mut wrong, &[]));
}

#[test]
fn empty_password_fits_only_an_empty_account() {
    for answer in [&b""[..], b"\0"] {
        let mut fits = exchange(login(Some(account(SHA2, b"")), SHA2, answer));
        assert_eq!(talk(&mut fits, &[]), ["accepted"]);
        let mut native = exchange(login(Some(account(NATIVE, b"")), NATIVE, answer));
        assert_eq!(talk(&mut native, &[]), ["accepted"]);
    }
    let mut given = exchange(login(Some(account(SHA2, b"")), SHA2, &sha2_answer(b"x")));
    let steps = talk(&mut given, &[b"x\0"]);
    assert_eq!(steps, ["more 4", "verified, rejected, used password: true"]);
}

#[test]
fn change_of_user_asks_again_with_a_new_salt() {
    let mut wanted = login(Some(account(SHA2, b"")), SHA2, b"stale");
    wanted.ask_again = true;
    let switch = "switch caching_sha2_password ABCDEFGHIJKLMNOPQRST ";
    assert_eq!(talk(&mut exchange(wanted), &[b""]), [switch, "accepted"]);
}

#[test]
fn packets_after_the_decision_change_nothing() {
    let mut rejected = exchange(login(None, SHA2, b""));
    let steps = talk(&mut rejected, &[b"hashcat\0", &[2]]);
    assert!(steps.iter().all(|step| step.starts_with("rejected")), "{steps:?}");
}
