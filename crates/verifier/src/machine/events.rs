//! Events of contracts, assembled from the pieces that the event writer emits; and the L1Messenger's messages in them.

use tee_eravm::Event;

use crate::machine::abi;

const EVENT_WRITER: [u8; 20] = kernel_address(0x800d);
const L1_MESSENGER_WORD: [u8; 32] =
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x08];

/// `L2ToL1LogSent((uint8,bool,uint16,address,bytes32,bytes32))`
const LOG_SENT: &str = "L2ToL1LogSent((uint8,bool,uint16,address,bytes32,bytes32))";
/// `L1MessageSent(address,bytes32,bytes)`
const MESSAGE_SENT: &str = "L1MessageSent(address,bytes32,bytes)";
/// `BytecodeL1PublicationRequested(bytes32)`
const PUBLICATION_REQUESTED: &str = "BytecodeL1PublicationRequested(bytes32)";

pub(crate) const fn kernel_address(low: u16) -> [u8; 20] {
    let mut address = [0; 20];
    [address[18], address[19]] = low.to_be_bytes();
    address
}

/// The data that the L1Messenger was asked to send to L1 in a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct L1Messages {
    /// Logs of 88 bytes.
    pub(crate) logs: Vec<[u8; 88]>,
    pub(crate) messages: Vec<Vec<u8>>,
    /// Hashes of bytecodes to be published.
    pub(crate) bytecodes: Vec<[u8; 32]>,
}

impl L1Messages {
    /// Reads all events of a batch. `None` if one of the L1Messenger is malformed: its code would not be the protocol's.
    pub(crate) fn of(events: &[Event]) -> Option<Self> {
        let [log_sent, message_sent, publication_requested] = [LOG_SENT, MESSAGE_SENT, PUBLICATION_REQUESTED]
            .map(|signature| crate::hash::keccak256(signature.as_bytes()));
        let mut messages = Self::default();
        for ContractEvent { topics, data, .. } in merged(events) {
            let [address, signature, rest @ ..] = topics.as_slice() else { continue };
            if *address != L1_MESSENGER_WORD {
                continue;
            }
            if *signature == log_sent {
                messages.logs.push(packed_log(&data)?);
            } else if *signature == message_sent && rest.len() == 2 {
                messages.messages.push(abi::decode_bytes(&data, 0)?.to_vec());
            } else if *signature == publication_requested {
                messages.bytecodes.push(data.first_chunk().copied()?);
            }
        }
        Some(messages)
    }
}

/// Shard, service flag, number of the transaction, sender, key, value: without the padding of the first four to words.
fn packed_log(data: &[u8]) -> Option<[u8; 88]> {
    let ([shard, is_service, transaction, sender, key, value, ..], _) = data.as_chunks::<32>() else { return None };
    let mut packed = [0; 88];
    packed[0] = shard[31];
    packed[1] = u8::from(is_service.iter().any(|byte| *byte != 0));
    packed[2..4].copy_from_slice(&transaction[30..]);
    packed[4..24].copy_from_slice(&sender[12..]);
    packed[24..56].copy_from_slice(key);
    packed[56..].copy_from_slice(value);
    Some(packed)
}

/// An event of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractEvent {
    /// The number of the transaction in the batch.
    pub transaction: u16,
    /// The contract's address, padded to a word, and the event's own topics.
    pub topics: Vec<[u8; 32]>,
    /// The data that is not indexed.
    pub data: Vec<u8>,
}

/// An event that still lacks pieces.
struct Pending {
    address: [u8; 20],
    event: ContractEvent,
    topics_left: u32,
    bytes_left: usize,
}

impl Pending {
    fn is_whole(&self) -> bool {
        self.topics_left == 0 && self.bytes_left == 0
    }

    fn add(&mut self, piece: [u8; 32]) {
        if self.topics_left > 0 {
            self.event.topics.push(piece);
            self.topics_left -= 1;
        } else if self.bytes_left > 0 {
            let count = self.bytes_left.min(32);
            self.event.data.extend(piece.iter().take(count));
            self.bytes_left -= count;
        }
    }

    fn begin(first: &Event) -> Self {
        let [counts, ..] = *first.key.as_limbs();
        let (topics, bytes) = (counts as u32, (counts >> 32) as usize);
        let mut pending = Self {
            address: first.address,
            event: ContractEvent { transaction: first.transaction, topics: Vec::new(), data: Vec::new() },
            topics_left: topics,
            bytes_left: bytes,
        };
        pending.add(first.value.to_be_bytes());
        pending
    }
}

/// Assembles events from the event writer's pieces, which are in order. An unfinished event is ignored.
pub(crate) fn merged(events: &[Event]) -> Vec<ContractEvent> {
    let mut whole = Vec::new();
    let mut current: Option<Pending> = None;
    let finish = |pending: Pending, whole: &mut Vec<ContractEvent>| {
        if pending.is_whole() && pending.address == EVENT_WRITER {
            whole.push(pending.event);
        }
    };
    for piece in events {
        if piece.is_first {
            if let Some(pending) = current.replace(Pending::begin(piece)) {
                finish(pending, &mut whole);
            }
        } else if let Some(mut pending) = current.take()
            && pending.address == piece.address
            && pending.event.transaction == piece.transaction
        {
            for word in [piece.key, piece.value] {
                pending.add(word.to_be_bytes());
            }
            if pending.is_whole() {
                finish(pending, &mut whole);
            } else {
                current = Some(pending);
            }
        }
    }
    if let Some(pending) = current {
        finish(pending, &mut whole);
    }
    whole
}

/// The 88 bytes of a log to L1.
pub(crate) fn log_bytes(log: &Event) -> [u8; 88] {
    let mut bytes = [0; 88];
    bytes[1] = u8::from(log.is_first);
    bytes[2..4].copy_from_slice(&log.transaction.to_be_bytes());
    bytes[4..24].copy_from_slice(&log.address);
    bytes[24..56].copy_from_slice(&log.key.to_be_bytes::<32>());
    bytes[56..].copy_from_slice(&log.value.to_be_bytes::<32>());
    bytes
}
