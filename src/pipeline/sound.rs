//! Sound: how long a recording is, told from its container; nothing is decoded.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// The fewest bytes of a second of sound: what Opus needs at its lowest.
const LEAST_BYTES_PER_SECOND: u64 = 750;

/// Packets that are looked at where the container does not say how long it is: eleven hours of the shortest usual ones.
const MAX_PACKETS: u32 = 2_000_000;

/// How long a recording is. One that nobody can read is taken to be as long as so many bytes can be.
pub fn duration(file: &[u8]) -> Duration {
    // Whoever wrote the file chose what the reader meets: a panic of it is an answer, too.
    let told = catch_unwind(AssertUnwindSafe(|| read(file))).ok().flatten();
    told.unwrap_or_else(|| longest(file.len() as u64))
}

fn longest(bytes: u64) -> Duration {
    Duration::from_secs(bytes.div_ceil(LEAST_BYTES_PER_SECOND))
}

fn read(file: &[u8]) -> Option<Duration> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(file.to_vec())), Default::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut reader = symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata).ok()?;
    let track = reader.default_track(TrackType::Audio)?;
    let (id, base) = (track.id, track.time_base?);
    let ticks = match track.duration {
        Some(ticks) if ticks.get() > 0 => ticks.get(),
        Some(_) | None => counted(&mut *reader, id)?,
    };
    let seconds = ticks as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get());
    Duration::try_from_secs_f64(seconds).ok().filter(|length| !length.is_zero())
}

/// The end of the last packet of a track, in ticks.
fn counted(reader: &mut dyn FormatReader, track: u32) -> Option<u64> {
    let mut ticks = 0u64;
    for _ in 0..MAX_PACKETS {
        match reader.next_packet() {
            Ok(Some(packet)) if packet.track_id == track => {
                let end = u64::try_from(packet.pts.get()).unwrap_or(0).saturating_add(packet.dur.get());
                ticks = ticks.max(end);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Some(ticks),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of silence at 8,000 samples of one byte, times `seconds`.
    fn wav(seconds: u32) -> Vec<u8> {
        let size = 8_000 * seconds;
        let mut file = b"RIFF".to_vec();
        file.extend((36 + size).to_le_bytes());
        file.extend(b"WAVEfmt ");
        for number in [16, 1 | (1 << 16), 8_000, 8_000, 1 | (8 << 16)] {
            file.extend(u32::to_le_bytes(number));
        }
        file.extend(b"data");
        file.extend(size.to_le_bytes());
        file.resize(file.len() + size as usize, 0x80);
        file
    }

    #[test]
    fn a_recording_is_as_long_as_its_container_says() {
        assert_eq!(duration(&wav(3)), Duration::from_secs(3));
    }

    #[test]
    fn mp3_without_a_head_is_counted_frame_by_frame() {
        // MPEG 1, layer 3, 128 kbit/s, 44,100 Hz: frames of 417 bytes with 1,152 samples each.
        let mut frame = vec![0u8; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0xc4]);
        let length = duration(&frame.repeat(100));
        let exact = 100.0 * 1152.0 / 44_100.0;
        assert!((length.as_secs_f64() - exact).abs() < 0.06, "{length:?}, not {exact}");
    }

    #[test]
    fn what_nobody_can_read_is_taken_for_the_longest() {
        assert_eq!(duration(b"RIFF"), Duration::from_secs(1));
        assert_eq!(duration(&[7; 750_000]), Duration::from_secs(1_000));
        assert_eq!(duration(&[]), Duration::ZERO);
    }
}
