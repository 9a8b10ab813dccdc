//! Measure: what of a call and its answer is charged for besides tokens: sound by the second, images by the piece, speech
//! by the character.

use std::time::Duration;

use actix_web::web;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::exchange::Exchange;
use super::sound::{self, Length};
use crate::config::price::Measures;
use crate::config::snapshot::{Dispatch, Model};
use crate::dialect::{Body, Call};
use crate::operation::Task;

/// Whether a model costs by the length of what is sent, at any of its targets.
pub fn is_charged_by_length(model: &Model, capture: Option<&str>) -> bool {
    match &model.dispatch {
        Dispatch::Direct(direct) => direct.terms(capture).price.is_some_and(|price| price.audio_hour > 0),
        Dispatch::Routing(routing) => {
            routing.members.iter().any(|member| is_charged_by_length(member, capture))
        }
    }
}

/// Whether a recording comes with what is asked for.
pub const fn has_recording(task: Option<Task>) -> bool {
    matches!(task, Some(Task::Transcribe | Task::Translate))
}

/// Adds how long the recording is that came with a call, if one did and nobody has told yet. It is read aside, so that
/// whoever else is served by this thread does not wait.
pub async fn listen(exchange: &mut Exchange, call: &Call) {
    let Body::Form(form) = &call.body else { return };
    if !has_recording(exchange.endpoint.operation.task()) {
        return;
    }
    let Some(file) = form.file("file").filter(|_| exchange.measures.audio.is_zero()) else { return };
    let Ok(permit) = exchange.worker.gateway.readers.clone().acquire_owned().await else { return };
    // The permit goes along: a caller who leaves does not end the reading.
    let read = web::block(move || {
        let _permit = permit;
        sound::length(&file)
    });
    let Length { likely, longest } = read.await.unwrap_or_default();
    (exchange.measures.audio, exchange.measures.longest_audio) = (likely, longest);
}

/// What is known of a call before it is answered, but for the length of a recording.
pub fn of(task: Option<Task>, call: &Call) -> Measures {
    match (task, &call.body) {
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
    let is_sound = has_recording(task);
    let is_image = matches!(task, Some(Task::Image | Task::EditImage));
    if !is_sound && !is_image {
        return;
    }
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
