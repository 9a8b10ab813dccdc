//! WAV: as long as its bytes are at the rate at which it is played, whatever its head says of its size.
//!
//! Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft), "Waveform Audio File Format".

use std::time::Duration;

use super::Length;

/// What may stand behind the samples, such as names of the piece: a head that leaves out more is not believed.
const MAX_TRAILER: u64 = 64 << 10;

/// How long a recording is whose samples are not packed; `None` for everything else.
pub(super) fn length(file: &[u8]) -> Option<Length> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut rate) = (12usize, None);
    loop {
        let name = file.get(at..at.checked_add(4)?)?;
        let size = number(file, at.checked_add(4)?)?;
        let start = at.checked_add(8)?;
        if name == b"data" {
            return Some(of_samples(file.len().checked_sub(start)? as u64, size, rate?));
        }
        if name == b"fmt " {
            rate = Some(bytes_per_second(file.get(start..)?)?);
        }
        // Chunks begin at even places.
        at = start.checked_add(usize::try_from(size).ok()?.checked_next_multiple_of(2)?)?;
    }
}

fn of_samples(there: u64, told: u64, rate: u64) -> Length {
    let seconds = |bytes: u64| Duration::from_secs_f64(bytes as f64 / rate as f64);
    let is_true = told > 0 && told <= there && there - told <= MAX_TRAILER;
    Length::at_most(seconds(if is_true { told } else { there }), seconds(there))
}

/// Bytes of a second of samples that are not packed. The head's own rate of bytes is for buffers: nobody plays by it.
fn bytes_per_second(format: &[u8]) -> Option<u64> {
    let short = |at: usize| Some(u64::from(u16::from_le_bytes(format.get(at..at + 2)?.try_into().ok()?)));
    let kind = match short(0)? {
        // The true kind stands in the extension.
        0xfffe => short(24)?,
        kind => kind,
    };
    // Whole numbers, floats, and the two logarithmic scales of telephony.
    if ![1, 3, 6, 7].contains(&kind) {
        return None;
    }
    let (channels, samples, bits) = (short(2)?, number(format, 4)?, short(14)?);
    let rate = channels.checked_mul(bits.div_ceil(8))?.checked_mul(samples)?;
    (rate > 0).then_some(rate)
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
}
