//! Speech: silence in the format that is asked for.

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::{MockReply, silence};

/// Speaks a text.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let plain = Plain::read(ask, &["model", "input", "voice"])?;
    let format = Some(plain.text("response_format")).filter(|format| !format.is_empty()).unwrap_or("mp3");
    let Some((media_type, sound)) = silence::of(format) else {
        let message = "'response_format' must be one of mp3, opus, aac, flac, wav and pcm.";
        return Err(error::invalid("response_format", "invalid_value", message).into());
    };
    Ok(plain.whole(media_type, sound))
}
