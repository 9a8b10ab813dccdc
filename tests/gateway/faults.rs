//! The sixteen faults of providers that the gateway comes out of, each as its specification says.
//!
//! The program runs against the mock provider, which fails by the names of its models. Every case is asked in the three
//! dialects of callers, whole and streamed where that makes a difference, and is looked at from all sides: the caller's
//! answer, what reached each target, usage records with their cost, the status page and the metrics.

mod page;
mod recorded;
mod seen;
mod stage;
mod told;
mod way;

mod broken;
mod failing;
mod flapping;
mod limited;
mod refused;
mod rescue;
mod served;
