//! TensorBoard event files with scalars.
//!
//! The format is TensorFlow's: each record is its length, an `Event` protocol buffer and a checksum
//! (`tensorflow/core/lib/io/record_writer.cc`, `tensorflow/core/util/event.proto`).

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::TrainError;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file open for writing.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates a file in the folder `dir`, and the folder if it does not exist. `first_step` is part of the name, so that
    /// TensorBoard reads the files of a resumed run in order.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn create(dir: &Path, first_step: usize) -> Result<Self, TrainError> {
        std::fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
        let path = dir.join(format!("events.out.tfevents.{:010}.step-{first_step:06}.coin", now() as u64));
        let file = File::create(&path).map_err(TrainError::io(&path))?;
        let mut events = EventFile { path, file };
        events.write(&Event {
            wall_time: now(),
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::default()
        })?;
        Ok(events)
    }

    /// Writes the values of one step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn scalars(&mut self, step: usize, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let value = values
            .iter()
            .map(|(tag, value)| Value { tag: (*tag).to_owned(), simple_value: Some(*value as f32) })
            .collect();
        self.write(&Event { wall_time: now(), step: step as i64, file_version: None, summary: Some(Summary { value }) })
    }

    fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked(&length).to_le_bytes());
        record.extend(&data);
        record.extend(masked(&data).to_le_bytes());
        self.file.write_all(&record).map_err(TrainError::io(&self.path))
    }
}

/// Returns the format's checksum: CRC-32C, rotated and offset so that checksums of data that contains checksums stay reliable.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_with_their_checksums() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(dir.path(), 0).unwrap();
        events.scalars(7, &[("loss", 1.5), ("lr", 0.25)]).unwrap();
        let mut bytes = &std::fs::read(&events.path).unwrap()[..];
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(12);
            let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
            assert_eq!(u32::from_le_bytes(head[8..].try_into().unwrap()), masked(&head[..8]));
            let (data, rest) = rest.split_at(length);
            let (check, rest) = rest.split_at(4);
            assert_eq!(u32::from_le_bytes(check.try_into().unwrap()), masked(data));
            found.push(Event::decode(data).unwrap());
            bytes = rest;
        }
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let summary = found[1].summary.as_ref().unwrap();
        assert_eq!((found[1].step, summary.value.len()), (7, 2));
        assert_eq!((summary.value[1].tag.as_str(), summary.value[1].simple_value), ("lr", Some(0.25)));
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // CRC-32C of "123456789" is e3069283; the mask is checked by hand.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked(b"123456789"), 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
