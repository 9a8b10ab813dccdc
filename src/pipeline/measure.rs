//! Measure: what of a call and its answer is charged for besides tokens: sound by the second, images by the piece, speech
//! by the character.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::sound;
use crate::config::price::Measures;
use crate::dialect::{Body, Call};
use crate::operation::Task;

/// What is known of a call before it is answered.
pub fn of(task: Option<Task>, call: &Call) -> Measures {
    match (task, &call.body) {
        (Some(Task::Transcribe | Task::Translate), Body::Form(form)) => {
            let audio = form.file("file").map(sound::duration).unwrap_or_default();
            Measures { audio, ..Measures::default() }
        }
        (Some(Task::Image), _) => Measures { images: call.answers, ..Measures::default() },
        (Some(Task::EditImage), _) => {
            // The picture, and what says which part of it is to be changed.
            let images_sent = call.files.saturating_add(1);
            Measures { images: call.answers, images_sent, ..Measures::default() }
        }
        (Some(Task::Speak), Body::Json(object)) => {
            let input = object.member("input").and_then(|raw| serde_json::from_str::<String>(raw).ok());
            let characters = input.map_or(0, |input| input.chars().count() as u64);
            Measures { characters, ..Measures::default() }
        }
        _ => Measures::default(),
    }
}

/// Takes over what an answer says of itself.
pub fn answered(measures: &mut Measures, task: Option<Task>, body: &[u8]) {
    #[derive(Deserialize)]
    struct Sound {
        seconds: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Members {
        data: Option<Vec<IgnoredAny>>,
        duration: Option<f64>,
        usage: Option<Sound>,
    }
    let (is_sound, is_image) = match task {
        Some(Task::Transcribe | Task::Translate) => (true, false),
        Some(Task::Image | Task::EditImage) => (false, true),
        _ => return,
    };
    let Ok(members) = serde_json::from_slice::<Members>(body) else { return };
    if let Some(images) = members.data.filter(|_| is_image) {
        measures.images = images.len() as u64;
    }
    // What was charged for stands in `usage`; how long the recording is, in the longer transcripts.
    let seconds = members.usage.and_then(|usage| usage.seconds).or(members.duration);
    if let Some(told) =
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|_| is_sound)
    {
        measures.audio = told;
    }
}
