//! Holding a stream back until it is judged (§10.6).
//!
//! A stream is fed in frames: an opaque payload, and the pieces of text in it, each under the key of the text that it
//! goes on. [`HoldBack::need`] says what to do: ask a judge, note an opinion, send frames on with what is masked in them,
//! break off, or feed more. Nothing goes out that was not judged, and no mask is cut in two.
//!
//! For whoever relays a stream:
//!
//! ```text
//! let Some(mut held) = HoldBack::new(&guard.chain) else { relay as ever };
//! for each event { held.push(frame, pieces); loop over held.need() until Need::More }
//! at the provider's end { held.end(); loop over held.need() until Need::Over }
//!
//! Need::Ask(member, texts)   ask it (screen::ask), then held.take(opinion); let the provider wait meanwhile
//! Need::Judged(finding)      guard.audit.note(&finding, Hook::Output, took)
//! Need::Release(frames)      write each frame; a mask replaces a range of bytes in the unescaped text of a piece
//! Need::Block(blocked)       guard.audit.close(Hook::Output); write the error frame; nothing else goes out
//! ```
//!
//! Pieces are unescaped ([`Text::decode`]); what a mask leaves is escaped again by the writer, arguments included: their
//! text is the JSON that the fragments make up, and stays JSON.
//!
//! [`Text::decode`]: crate::dialect::json::Text::decode

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::passage::Passage;
use super::screening::{Finding, Result, Screening, Step};
use super::webhook::Opinion;
use super::{Blocked, Chain, Failure, Guardrail, Hook};

mod policy;
mod release;
mod texts;

pub use policy::{Mode, Policy};
use release::{Frame, Piece};
pub use release::{Mask, Released};
use texts::{Source, Texts};

/// Most frames that are held, with or without text.
const MAX_FRAMES: usize = 1 << 16;

/// Which text of a stream a piece goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotKey {
    /// Which answer.
    pub answer: u32,
    /// What kind of text.
    pub words: Words,
}

/// What kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Words {
    /// What is said.
    Text,
    /// What is thought.
    Thought,
    /// What is said instead of an answer.
    Refusal,
    /// The name of a tool; comes whole.
    Name(u32),
    /// The arguments of a tool call, as JSON.
    Arguments(u32),
    /// Whatever else comes whole; a text of its own each time.
    Aside,
    /// Whatever else comes in pieces, by what tells it from others.
    Other(u64),
}

/// What is to be done next.
#[derive(Debug)]
pub enum Need<F> {
    /// Ask a judge about these texts, and give its opinion to [`HoldBack::take`]. Asked again until it is given.
    Ask(Arc<Guardrail>, Vec<String>),
    /// Take note of what a member said.
    Judged(Finding),
    /// Send these on, in order.
    Release(Vec<Released<F>>),
    /// Break off. Nothing of what is held may go out.
    Block(Blocked),
    /// Feed more.
    More,
    /// The stream is over, and all of it has gone out.
    Over,
}

/// A stream under judgement. See the module.
#[derive(Debug)]
pub struct HoldBack<F> {
    chain: Chain,
    policy: Policy,
    texts: Texts,
    frames: VecDeque<Frame<F>>,
    /// A look under way, and where each of its passages comes from.
    look: Option<(Screening, Vec<Source>)>,
    /// Frames that may go out, once they have been taken.
    ready: usize,
    /// Whether it was told that there is too much.
    is_told: bool,
    state: State,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More comes.
    Running,
    /// All has come, and the last look is due.
    Ended,
    /// The last look is over.
    Judged,
    /// It outgrew its buffer, and goes on without being judged.
    Unjudged,
    /// As [`State::Unjudged`], and all has come.
    UnjudgedEnded,
    /// It is blocked.
    Blocked,
}

impl<F> HoldBack<F> {
    /// Begins to hold a stream; nothing where nobody judges answers.
    #[must_use]
    pub fn new(chain: &Chain) -> Option<Self> {
        let policy = Policy::of(chain)?;
        Some(Self {
            chain: chain.clone(),
            texts: Texts::new(policy.mode, policy.overlap),
            policy,
            frames: VecDeque::new(),
            look: None,
            ready: 0,
            is_told: false,
            state: State::Running,
        })
    }

    /// How the stream is held back.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Adds a frame with the pieces of text in it.
    pub fn push<'a>(&mut self, payload: F, pieces: impl IntoIterator<Item = (SlotKey, &'a str)>) {
        let is_free = self.state == State::Unjudged;
        let pieces: SmallVec<[Piece; 2]> = match is_free {
            true => SmallVec::new(),
            false => pieces.into_iter().map(|(key, text)| self.texts.add(key, text)).collect(),
        };
        self.texts.close_others(&pieces);
        self.frames.push_back(Frame { payload, pieces });
        if self.policy.mode == Mode::EndOfStream {
            self.texts.forget_beyond(self.policy.max_buffer_bytes);
        }
        if is_free || self.policy.mode == Mode::EndOfStream {
            self.ready = self.frames.len();
        }
    }

    /// Says that the stream is complete.
    pub fn end(&mut self) {
        self.state = match self.state {
            State::Running => State::Ended,
            State::Unjudged => State::UnjudgedEnded,
            other => other,
        };
    }

    /// What is to be done next; to be asked until it needs more, or is over.
    pub fn need(&mut self) -> Need<F> {
        loop {
            if let Some((screening, _)) = &mut self.look {
                match screening.step() {
                    Step::Judged(finding) => return Need::Judged(finding),
                    Step::Ask(member) => return Need::Ask(member, screening.texts()),
                    Step::Over => {}
                }
                if let Some(blocked) = self.conclude() {
                    return Need::Block(blocked);
                }
            }
            if self.state == State::Blocked {
                return Need::Over;
            }
            if self.ready > 0 {
                return Need::Release(self.release());
            }
            if let Some(need) = self.overflow() {
                return need;
            }
            if self.is_look_due() {
                self.begin_look();
                continue;
            }
            return match self.state {
                State::Judged | State::UnjudgedEnded => Need::Over,
                _ => Need::More,
            };
        }
    }

    /// Takes the opinion of a judge that was to be asked, and gives what it comes to, to be noted.
    pub fn take(&mut self, opinion: Opinion) -> Option<Finding> {
        self.look.as_mut().and_then(|(screening, _)| screening.take(opinion))
    }

    fn is_look_due(&self) -> bool {
        match (self.state, self.policy.mode) {
            (State::Ended, _) => true,
            (State::Running, Mode::Window) => self.texts.fresh() >= self.policy.window,
            _ => false,
        }
    }

    fn begin_look(&mut self) {
        let (passages, sources): (Vec<Passage>, Vec<Source>) =
            self.texts.passages(self.state == State::Ended).into_iter().unzip();
        self.look = Some((Screening::begin(&self.chain, Hook::Output, passages), sources));
        // What comes while a judge is asked belongs to the next look.
        self.texts.mark();
        if self.state == State::Ended {
            self.state = State::Judged;
        }
    }

    /// The look is over: what it found becomes masks, and what is clean may go out.
    fn conclude(&mut self) -> Option<Blocked> {
        let (screening, sources) = self.look.take()?;
        match screening.end() {
            Ok(passages) => {
                self.texts.judged(&passages, &sources, self.state == State::Judged);
                self.ready = match self.policy.mode {
                    Mode::EndOfStream => self.frames.len(),
                    Mode::Window | Mode::BufferFull => self.texts.clean_frames(&self.frames),
                };
                None
            }
            // With nothing but monitors nobody blocks.
            Err(blocked) => {
                self.block();
                Some(blocked)
            }
        }
    }

    fn block(&mut self) {
        self.state = State::Blocked;
        self.frames.clear();
        self.ready = 0;
    }

    /// Whether more is held than may be; a stream that goes on then is judged no more.
    fn overflow(&mut self) -> Option<Need<F>> {
        let is_holding = self.policy.mode != Mode::EndOfStream && self.state == State::Running;
        let is_full = self.texts.held() > self.policy.max_buffer_bytes || self.frames.len() > MAX_FRAMES;
        if !is_holding || !is_full {
            return None;
        }
        let guardrail = self.policy.decisive.clone();
        let failure = Failure::BufferExceeded;
        if self.policy.is_open {
            self.state = State::Unjudged;
            self.ready = self.frames.len();
            return Some(Need::Judged(Finding { guardrail, result: Result::Bypassed(failure) }));
        }
        if self.is_told {
            let blocked = Blocked { hook: Hook::Output, guardrail: guardrail.name.clone() };
            self.block();
            return Some(Need::Block(blocked));
        }
        self.is_told = true;
        Some(Need::Judged(Finding { guardrail, result: Result::BlockedUnavailable(failure) }))
    }

    fn release(&mut self) -> Vec<Released<F>> {
        let count = std::mem::take(&mut self.ready);
        let frames: Vec<Frame<F>> = self.frames.drain(..count).collect();
        self.texts.release(frames)
    }
}

#[cfg(test)]
mod tests;
