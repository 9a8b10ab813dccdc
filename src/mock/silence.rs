//! A moment of silence in every format of sound that OpenAI's speech comes in: the least that a player accepts.

use bytes::Bytes;

/// Samples a second of everything here but Opus, which knows only one rate.
const RATE: u32 = 16_000;
/// A tenth of a second.
const SAMPLES: u32 = RATE / 10;

/// MPEG 1 Layer III, 128 kbit/s at 44.1 kHz: a frame's header; what follows is zeros.
const MP3_HEADER: [u8; 4] = [0xff, 0xfb, 0x90, 0x00];
const MP3_FRAME_BYTES: usize = 417;
/// AAC-LC in ADTS, one channel.
const AAC: &[u8] = b"\xff\xf1`@\x01\xbf\xfc\x00\xc8\x00\x80#\x80";
/// Stream information and one constant frame of 4096 samples.
const FLAC: &[u8] =
    b"fLaC\x80\x00\x00\x22\x10\x00\x10\x00\x00\x00\x0b\x00\x00\x0b\x03\xe8\x00\xf0\x00\x00\x10\x00\x08)\
    \xf7\x17@\xaa\xb1\xab\x98\xb3>\xae!\xde\xe1\x22\xff\xf8\xc5\x08\x00o\x00\x00\x00eU";
/// Three pages of Ogg: what it is, who made it, and one packet of 20 ms.
const OPUS: &[u8] = b"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x1c\x9f\xf5\xd9\x01\
    \x13OpusHead\x01\x018\x01\x80\xbb\x00\x00\x00\x00\x00OggS\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\
    \x01\x00\x00\x00,{T\x9e\x01\x14OpusTags\x04\x00\x00\x00mock\x00\x00\x00\x00OggS\x00\x04\xc0\x03\x00\x00\x00\x00\
    \x00\x00\x01\x00\x00\x00\x02\x00\x00\x00)\x93\xb0\xdd\x01\x03\xf8\xff\xfe";

/// Media type and bytes of a format; `None` for one that OpenAI does not have.
pub(super) fn of(format: &str) -> Option<(&'static str, Bytes)> {
    Some(match format {
        "mp3" => ("audio/mpeg", mp3().into()),
        "wav" => ("audio/wav", wav().into()),
        "pcm" => ("audio/pcm", pcm().into()),
        "aac" => ("audio/aac", Bytes::from_static(AAC)),
        "flac" => ("audio/flac", Bytes::from_static(FLAC)),
        "opus" => ("audio/opus", Bytes::from_static(OPUS)),
        _ => return None,
    })
}

fn mp3() -> Vec<u8> {
    let mut frame = MP3_HEADER.to_vec();
    frame.resize(MP3_FRAME_BYTES, 0);
    frame.repeat(4)
}

/// 16 bits, little-endian, one channel.
fn pcm() -> Vec<u8> {
    vec![0; SAMPLES as usize * 2]
}

fn wav() -> Vec<u8> {
    let sound = pcm();
    let length = SAMPLES * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 2).to_le_bytes());
    bytes.extend(b"\x02\x00\x10\x00data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(sound);
    bytes
}
