//! Commands that are `raft`'s own: they stand in the log beside the state machine's, told apart by their
//! first byte.
//!
//! ```text
//! ff 'C' id 8 BE     compare: every replica computes the digest of its content at exactly this entry
//! anything else      the state machine's; it never begins with ff
//! ```

use bytes::Bytes;

/// First byte of `raft`'s own commands. No command of a state machine begins with it.
pub const OWN_TAG: u8 = 0xff;
/// Second byte of a comparison.
const COMPARE: u8 = b'C';

/// A command of `raft` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnCommand {
    /// Compute the digest of the content as of this entry.
    Compare {
        /// Tells this comparison from any other.
        id: u64,
    },
}

impl OwnCommand {
    /// The command's bytes.
    pub fn encode(&self) -> Bytes {
        let OwnCommand::Compare { id } = self;
        let mut bytes = vec![OWN_TAG, COMPARE];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.into()
    }

    /// The command in bytes from the log; `None` when it is the state machine's.
    ///
    /// # Errors
    /// A sentence, when it is `raft`'s own but not known to this program.
    pub fn decode(bytes: &[u8]) -> Result<Option<OwnCommand>, String> {
        match bytes.split_first() {
            Some((&OWN_TAG, [COMPARE, id @ ..])) => {
                let id = <[u8; 8]>::try_from(id)
                    .map_err(|_| "a comparison without a whole id".to_string())?;
                Ok(Some(OwnCommand::Compare { id: u64::from_be_bytes(id) }))
            }
            Some((&OWN_TAG, _)) => {
                Err("a command of a newer program; run that program".to_string())
            }
            Some(_) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_commands_round_trip_and_others_are_left_alone() {
        let compare = OwnCommand::Compare { id: 0x0102_0304_0506_0708 };
        assert_eq!(OwnCommand::decode(&compare.encode()), Ok(Some(compare)));
        assert_eq!(OwnCommand::decode(b""), Ok(None));
        assert_eq!(OwnCommand::decode(&[1, 0xff]), Ok(None));
        assert!(OwnCommand::decode(&[OWN_TAG, b'?']).is_err());
        assert!(OwnCommand::decode(&compare.encode()[..5]).is_err());
    }
}
