//! What the dialects can say, as far as they differ: a row each, and what two of them share.

use aisix::dialect::Dialect;
use aisix::dialect::chat::{Effort, Origin, Thinking};

/// What can be said in a dialect, or in two of them.
#[derive(Debug, Clone)]
pub struct Can {
    /// Instructions between turns.
    pub instruct_later: bool,
    /// Names of speakers.
    pub name: bool,
    /// Marks for the cache.
    pub mark: bool,
    /// Documents by the id of a file.
    pub refer_to_files: bool,
    /// Names of documents.
    pub name_files: bool,
    /// How closely to look at a picture.
    pub detail: bool,
    /// Sounds.
    pub hear: bool,
    /// Whose thoughts stand in a request.
    pub own_thoughts: Option<Origin>,
    /// Pictures in what a tool said.
    pub show_results: bool,
    /// That a tool failed.
    pub fail: bool,
    /// That arguments must fit exactly.
    pub be_strict: bool,
    /// That tools are called one at a time.
    pub queue_calls: bool,
    /// Seeds and penalties.
    pub penalise: bool,
    /// `top_k`.
    pub top_k: bool,
    /// Texts that end the answer.
    pub stop: bool,
    /// Any JSON object as the form of the answer.
    pub any_object: bool,
    /// Names of schemas.
    pub name_schemas: bool,
    /// How much to think.
    pub think: Vec<Thinking>,
    /// Whether thoughts are wanted.
    pub show_thoughts: Vec<Option<bool>>,
    /// Several answers.
    pub repeat: bool,
    /// Log probabilities.
    pub weigh: bool,
    /// Who the user is.
    pub user: bool,
    /// OpenAI's own members.
    pub openai: bool,
    /// Streams, in the body.
    pub stream: bool,
    /// Refusals in an answer.
    pub refuse: bool,
    /// Answers that a filter cut.
    pub filter: bool,
    /// Which text ended the answer.
    pub name_stop: bool,
    /// Calls between texts, rather than behind them.
    pub interleave: bool,
    /// Tokens that went into the cache.
    pub count_writes: bool,
    /// The place of a citation.
    pub place_citations: bool,
    /// What was cited.
    pub quote: bool,
}

const EFFORTS: [Thinking; 4] = [
    Thinking::Off,
    Thinking::Effort(Effort::Low),
    Thinking::Effort(Effort::Medium),
    Thinking::Effort(Effort::High),
];
const BUDGETS: [Thinking; 4] =
    [Thinking::Off, Thinking::Adaptive, Thinking::Budget(1024), Thinking::Budget(5000)];

impl Can {
    /// What a dialect can say to a model whose name tells nothing.
    pub fn of(dialect: Dialect) -> Self {
        use Dialect::{Anthropic, Gemini, OpenAiChat, OpenAiResponses};
        let is = |others: &[Dialect]| others.contains(&dialect);
        let is_openai = is(&[OpenAiChat, OpenAiResponses]);
        Self {
            instruct_later: is_openai,
            name: is(&[OpenAiChat]),
            mark: is(&[Anthropic]),
            refer_to_files: !is(&[Gemini]),
            name_files: !is(&[Gemini]),
            detail: is_openai,
            hear: is(&[OpenAiChat, Gemini]),
            own_thoughts: match dialect {
                Anthropic => Some(Origin::Anthropic),
                OpenAiResponses => Some(Origin::OpenAi),
                Gemini => Some(Origin::Google),
                _ => None,
            },
            show_results: is(&[OpenAiResponses, Anthropic]),
            fail: is(&[Anthropic, Gemini]),
            be_strict: !is(&[Gemini]),
            queue_calls: !is(&[Gemini]),
            penalise: is(&[OpenAiChat, Gemini]),
            top_k: is(&[Anthropic, Gemini]),
            stop: !is(&[OpenAiResponses]),
            any_object: !is(&[Anthropic]),
            name_schemas: is_openai,
            think: if is_openai { EFFORTS.to_vec() } else { BUDGETS.to_vec() },
            show_thoughts: match dialect {
                OpenAiChat => vec![None],
                OpenAiResponses => vec![None, Some(true)],
                Anthropic => vec![Some(true), Some(false)],
                _ => vec![None, Some(true), Some(false)],
            },
            repeat: is(&[OpenAiChat, Gemini]),
            weigh: !is(&[Anthropic]),
            user: !is(&[Gemini]),
            openai: is_openai,
            stream: !is(&[Gemini]),
            refuse: is_openai,
            filter: !is(&[Anthropic]),
            name_stop: is(&[Anthropic]),
            interleave: !is(&[OpenAiChat]),
            count_writes: !is(&[Gemini]),
            place_citations: !is(&[Anthropic]),
            quote: is(&[OpenAiChat, Anthropic]),
        }
    }

    /// What both can say.
    pub fn both(one: Dialect, other: Dialect) -> Self {
        let (mut all, other) = (Self::of(one), Self::of(other));
        for (mine, theirs) in all.flags().into_iter().zip(other.clone().flags()) {
            *mine &= *theirs;
        }
        all.own_thoughts = all.own_thoughts.filter(|origin| other.own_thoughts == Some(*origin));
        all.think.retain(|thinking| other.think.contains(thinking));
        all.show_thoughts.retain(|shows| other.show_thoughts.contains(shows));
        all
    }

    fn flags(&mut self) -> [&mut bool; 28] {
        [
            &mut self.instruct_later,
            &mut self.name,
            &mut self.mark,
            &mut self.refer_to_files,
            &mut self.name_files,
            &mut self.detail,
            &mut self.hear,
            &mut self.show_results,
            &mut self.fail,
            &mut self.be_strict,
            &mut self.queue_calls,
            &mut self.penalise,
            &mut self.top_k,
            &mut self.stop,
            &mut self.any_object,
            &mut self.name_schemas,
            &mut self.repeat,
            &mut self.weigh,
            &mut self.user,
            &mut self.openai,
            &mut self.stream,
            &mut self.refuse,
            &mut self.filter,
            &mut self.name_stop,
            &mut self.interleave,
            &mut self.count_writes,
            &mut self.place_citations,
            &mut self.quote,
        ]
    }
}
