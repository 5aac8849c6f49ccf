//! DNS messages of every kind, and mutations of bytes.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const OPT: u16 = 41;

/// QR, RD and RA.
const RESPONSE: u16 = 0x8180;
/// A compression pointer to the question's name.
const QUESTION: [u8; 2] = [0xc0, 12];
const NAME: &str = "orders.shop.svc.cluster.local";

/// A name without compression.
fn name(text: &str) -> Vec<u8> {
    let labels =
        text.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let fixed = [&kind.to_be_bytes()[..], &[0, 1], &[0, 0, 0, 30], &length.to_be_bytes()].concat();
    [owner, &fixed, data].concat()
}

/// A message with one question and these sections.
fn message(flags: u16, kind: u16, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 1]);
    for section in sections {
        bytes.extend(u16::try_from(section.len()).unwrap().to_be_bytes());
    }
    bytes.extend(name(NAME));
    bytes.extend([kind.to_be_bytes(), [0, 1]].concat());
    bytes.extend(sections.concat().concat());
    bytes
}

/// A response with `count` IPv4 addresses.
pub(crate) fn addresses(count: u16) -> Vec<u8> {
    let address = |n: u16| record(&QUESTION, A, &[&[10, 244], &n.to_be_bytes()[..]].concat());
    message(RESPONSE, A, [&(0..count).map(address).collect::<Vec<_>>(), &[], &[]])
}

/// A response of `length` bytes: addresses, and bytes after the message.
pub(crate) fn of_length(length: usize) -> Vec<u8> {
    let mut bytes = addresses(20);
    bytes.resize(length, 0x5a);
    bytes
}

/// Messages of many kinds, most of them responses.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let target = name("orders-0.orders.shop.svc.cluster.local");
    let srv = |port: u16| [&[0, 0, 0, 100][..], &port.to_be_bytes(), &target].concat();
    let v6 = [&[0xfd, 0, 0, 0x10][..], &[0; 11], &[7]].concat();
    let options = [&[0][..], &OPT.to_be_bytes(), &[4, 208, 0, 0, 0, 0, 0, 0]].concat();
    let soa = [&name("ns.dns.cluster.local")[..], &name("admin.cluster.local"), &[0; 20]].concat();
    let mut no_question = message(RESPONSE, A, [&[record(&name(NAME), A, &[10, 0, 0, 1])], &[], &[]]);
    no_question[5] = 0;
    let mut two_questions = addresses(1);
    two_questions[5] = 2;
    vec![
        addresses(1),
        addresses(5),
        addresses(40),
        addresses(180),
        message(RESPONSE, AAAA, [&[record(&QUESTION, AAAA, &v6)], &[], std::slice::from_ref(&options)]),
        message(RESPONSE, A, [&[record(&name(NAME), A, &[10, 0, 0, 1])], &[], &[]]),
        message(
            RESPONSE,
            A,
            [
                &[
                    record(&QUESTION, CNAME, &name("db.other.svc.cluster.local")),
                    record(&name("db.other.svc.cluster.local"), A, &[10, 0, 0, 2]),
                ],
                &[],
                &[],
            ],
        ),
        message(
            RESPONSE,
            SRV,
            [
                &[record(&QUESTION, SRV, &srv(8080)), record(&QUESTION, SRV, &srv(9090))],
                &[],
                &[record(&target, A, &[10, 0, 0, 3]), options],
            ],
        ),
        message(RESPONSE | 3, A, [&[], &[record(&QUESTION, SOA, &soa)], &[]]),
        message(RESPONSE | 0x0200, A, [&[], &[], &[]]),
        // A query, a response to an update, and messages with no or two questions.
        message(0x0100, A, [&[], &[], &[]]),
        message(RESPONSE | 5 << 11, A, [&[], &[], &[]]),
        no_question,
        two_questions,
    ]
}

/// Changes a few bytes, or cuts or extends the message.
pub(crate) fn spoil(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes[at] = [0, 1, 0x3f, 0x7f, 0x80, 0xc0, 0xff][rng.random_range(0..7)],
            3 => bytes.truncate(at),
            4 => {
                let end = rng.random_range(at..bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let piece = bytes[at..].iter().copied().take(rng.random_range(1..40)).collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
            // A pointer to a random offset.
            _ => {
                let [high, low] = rng.random_range(0..600_u16).to_be_bytes();
                let end = (at + 2).min(bytes.len());
                bytes.splice(at..end, [0xc0 | high, low]);
            }
        }
    }
}

/// Random bytes.
pub(crate) fn noise(rng: &mut StdRng, longest: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(1..=longest)];
    rng.fill_bytes(&mut bytes);
    bytes
}
