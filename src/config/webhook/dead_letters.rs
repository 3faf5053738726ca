//! Dead letters that would come back to the webhook that they come from.

use super::Webhook;

/// The position of a webhook whose dead letters come back to itself through others, if there is one.
pub fn circle(webhooks: &[Webhook]) -> Option<usize> {
    let leads = |from: &Webhook, to: &Webhook| from.dead_letter.as_ref().is_some_and(|topic| to.topic.matches(topic));
    let mut left: Vec<usize> = (0..webhooks.len()).collect();
    // who leads to nobody that is left is in no circle
    loop {
        let before = left.len();
        let in_doubt = left.clone();
        left.retain(|from| in_doubt.iter().any(|to| leads(&webhooks[*from], &webhooks[*to])));
        if left.len() == before {
            let mut last = *left.last()?;
            // some of them only lead into a circle, which this many steps reach
            for _ in &left {
                last = left.iter().copied().find(|to| leads(&webhooks[last], &webhooks[*to]))?;
            }
            return Some(last);
        }
    }
}
