//! Gathering messages into frames: what has queued goes out together.

use base::limits;
use prost::Message;
use proto::raft::{Frame, Item};
use tokio::sync::mpsc::Receiver;

/// A frame that begins with `first` and takes along what waits in `queue`, up to a size.
pub fn gather(first: Item, queue: &mut Receiver<Item>) -> Frame {
    let mut bytes = first.encoded_len();
    let mut items = vec![first];
    while bytes < limits::FRAME_BYTES_TARGET && items.len() < limits::FRAME_ITEMS_MAX {
        let Ok(item) = queue.try_recv() else { break };
        bytes += item.encoded_len();
        items.push(item);
    }
    Frame { items, hello: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proto::raft::{AppendRequest, Entry, entry, item};

    fn message(sequence: u64, bytes: usize) -> Item {
        let payload = Some(entry::Payload::Command(Bytes::from(vec![0; bytes])));
        let entries = vec![Entry { term: 1, index: sequence, payload }];
        let append = AppendRequest { entries, ..AppendRequest::default() };
        Item { sequence, body: Some(item::Body::Append(append)), ..Item::default() }
    }

    #[test]
    fn what_waits_goes_along_until_the_frame_is_full() {
        let (sender, mut queue) = tokio::sync::mpsc::channel(8);
        for sequence in 1..4 {
            sender.try_send(message(sequence, limits::FRAME_BYTES_TARGET / 2)).unwrap();
        }
        let frame = gather(message(0, 10), &mut queue);
        let sequences: Vec<u64> = frame.items.iter().map(|item| item.sequence).collect();
        assert_eq!(sequences, [0, 1, 2]);
        assert_eq!(gather(message(9, 1), &mut queue).items.len(), 2);
    }
}
