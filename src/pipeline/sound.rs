//! Sound: how long a recording is, told from its bytes; nothing is decoded.
//!
//! Whoever wrote the file wrote its head, too, and is charged by what it says: so a head is believed only where the bytes
//! agree. Packets are counted, and what is not packed is as long as its bytes are.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

mod wav;

/// The fewest bytes of a second of sound: what Opus needs at its lowest.
const LEAST_BYTES_PER_SECOND: u64 = 750;

/// The most bytes of a second of what is packed with losses: Opus at its highest, 510 kbit/s.
const MOST_BYTES_PER_SECOND: f64 = 64_000.0;

/// Packets that are looked at: eleven hours of the shortest usual ones.
const MAX_PACKETS: u32 = 2_000_000;

/// How long a recording is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// As its bytes tell; this is charged for.
    pub likely: Duration,
    /// As long as it can be at all.
    pub longest: Duration,
}

impl Length {
    fn at_most(likely: Duration, longest: Duration) -> Self {
        Self { likely, longest: longest.max(likely) }
    }
}

/// How long a recording is. One that nobody can read is taken to be as long as so many bytes can be.
pub fn length(file: &Bytes) -> Length {
    if let Some(length) = wav::length(file) {
        return length;
    }
    // Whoever wrote the file chose what the reader meets: a panic of it is an answer, too.
    let told = catch_unwind(AssertUnwindSafe(|| read(file.clone()))).ok().flatten();
    let longest = longest(file.len() as u64);
    told.unwrap_or(Length { likely: longest, longest })
}

fn longest(bytes: u64) -> Duration {
    Duration::from_secs(bytes.div_ceil(LEAST_BYTES_PER_SECOND))
}

fn read(file: Bytes) -> Option<Length> {
    let size = file.len() as u64;
    let stream = MediaSourceStream::new(Box::new(Cursor::new(file)), Default::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut reader = symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata).ok()?;
    let track = reader.default_track(TrackType::Audio)?;
    let (id, base, is_lossy) = (track.id, track.time_base?, is_lossy(track));
    let Counted { ticks, bytes, is_whole } = Counted::of(&mut *reader, id);
    let mut seconds = ticks as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get());
    if is_lossy {
        seconds = seconds.max(bytes as f64 / MOST_BYTES_PER_SECOND);
    }
    if !is_whole && bytes > 0 {
        // The rest is taken to be like what could be read.
        seconds *= size as f64 / bytes as f64;
    }
    let likely = Duration::try_from_secs_f64(seconds).ok().filter(|length| !length.is_zero())?;
    let likely = likely.min(longest(size));
    let is_sure = is_whole && bytes.saturating_mul(2) >= size;
    Some(Length::at_most(likely, if is_sure { likely } else { longest(size) }))
}

fn is_lossy(track: &Track) -> bool {
    let lossy = [CODEC_ID_AAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS];
    let codec = track.codec_params.as_ref().and_then(|codec| codec.audio());
    codec.is_some_and(|codec| lossy.contains(&codec.codec))
}

/// The packets of a track.
#[derive(Default)]
struct Counted {
    ticks: u64,
    bytes: u64,
    /// Whether the file was read to its end.
    is_whole: bool,
}

impl Counted {
    fn of(reader: &mut dyn FormatReader, track: u32) -> Self {
        let (mut counted, mut end) = (Self::default(), 0u64);
        for _ in 0..MAX_PACKETS {
            match reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == track => {
                    counted.ticks = counted.ticks.saturating_add(packet.dur.get());
                    counted.bytes = counted.bytes.saturating_add(packet.data.len() as u64);
                    end = end.max(u64::try_from(packet.pts.get()).unwrap_or(0));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    counted.is_whole = true;
                    break;
                }
                Err(_) => break,
            }
        }
        if counted.ticks == 0 {
            // Some containers say when a packet begins, and not how long it lasts.
            counted.ticks = end;
        }
        counted
    }
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

    /// The length that is charged for.
    fn duration(file: &[u8]) -> Duration {
        length(&Bytes::copy_from_slice(file)).likely
    }

    #[test]
    fn a_head_that_does_not_fit_its_file_is_not_believed() {
        for told in [0, 1, 8_000, 100_000_000, u32::MAX] {
            let mut file = wav(60);
            file[40..44].copy_from_slice(&told.to_le_bytes());
            assert_eq!(duration(&file), Duration::from_secs(60), "{told}");
        }
        let mut slow = wav(60);
        // The rate of bytes, which nobody plays by.
        slow[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(duration(&slow), Duration::from_secs(60));
    }

    #[test]
    fn what_stands_behind_the_samples_is_not_charged_for_and_held_for_in_the_worst_case() {
        let mut file = wav(3);
        file.extend([0; 8_000]);
        let length = length(&file.into());
        assert_eq!(length.likely, Duration::from_secs(3));
        assert_eq!(length.longest, Duration::from_secs(4));
    }

    #[test]
    fn what_breaks_off_is_taken_to_go_on_as_it_began() {
        let mut frame = vec![0u8; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0xc4]);
        let mut file = frame.repeat(100);
        file.extend([0x55; 60_000]);
        let length = length(&file.into());
        assert!(length.likely > Duration::from_secs(2), "{length:?}");
        assert!(length.longest >= Duration::from_secs(100), "{length:?}: most of it is unknown");
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
