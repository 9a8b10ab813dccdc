//! Whether a Redis keeps what it is told, as far as it says so.

use redis::{Value, cmd};

use super::SharedBudgets;
use crate::redis::Wire;

impl SharedBudgets {
    /// Warns where spend could be evicted, or lost when Redis is started again. Many do not tell.
    pub async fn look(&self, wire: &mut Wire) {
        let options = &self.server.options;
        let mut command = cmd("CONFIG");
        command.arg("GET").arg("maxmemory").arg("maxmemory-policy").arg("appendonly");
        let Ok(answer) = wire.call(&command, options.timeout).await else { return };
        for problem in problems(&answer) {
            log::warn!("redis {options}: {problem}");
        }
    }
}

fn problems(answer: &Value) -> Vec<String> {
    let mut words = Vec::new();
    gather(answer, &mut words);
    let of = |name: &str| words.iter().skip_while(|word| *word != name).nth(1);
    let mut problems = Vec::new();
    if let (Some(most), Some(policy)) = (of("maxmemory"), of("maxmemory-policy"))
        && most != "0"
        && policy != "noeviction"
    {
        problems.push(format!(
            "spend of budgets is forgotten where memory is short: maxmemory-policy is {policy}, not noeviction"
        ));
    }
    if of("appendonly").is_some_and(|word| word == "no") {
        problems.push("spend of budgets may be lost when it is started again: appendonly is no".to_owned());
    }
    problems
}

/// All texts of an answer, in a row: servers, clusters and versions nest them differently.
fn gather(answer: &Value, words: &mut Vec<String>) {
    match answer {
        Value::BulkString(bytes) => words.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| gather(item, words)),
        Value::Map(pairs) => pairs.iter().for_each(|(name, value)| {
            gather(name, words);
            gather(value, words);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    #[test]
    fn what_may_lose_spend_is_told_of() {
        let well = ["maxmemory", "100", "maxmemory-policy", "noeviction", "appendonly", "yes"];
        assert!(problems(&answer(&well)).is_empty());
        let endless = ["maxmemory", "0", "maxmemory-policy", "allkeys-lru", "appendonly", "yes"];
        assert!(problems(&answer(&endless)).is_empty(), "nothing is ever evicted");
        let ill = ["appendonly", "no", "maxmemory", "100", "maxmemory-policy", "volatile-lru"];
        let told = problems(&Value::Array(vec![answer(&ill)])).join("; ");
        assert!(told.contains("volatile-lru") && told.contains("appendonly is no"), "{told}");
        assert!(problems(&Value::Nil).is_empty());
    }
}
