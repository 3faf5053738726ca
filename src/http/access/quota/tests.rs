//! Two tokens that hold the same filter.

use super::*;
use crate::config::{Config, Environment, Source};
use crate::http::access::quota::subscriptions::PendingUnsubscribe;
use crate::message::Qos;

/// The quotas of two tokens.
fn two() -> [Arc<Quota>; 2] {
    let table = |name, digit: &str| format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\n", digit.repeat(64));
    let text = [table("a", "0"), table("b", "1")].concat();
    let config = Config::parse(&text, &Source::BuiltIn, &Environment::default()).unwrap();
    let holdings = Arc::new(Holdings::new(&config));
    [0, 1].map(|index| Arc::new(Quota::new(config.tokens[index].clone().into(), index, holdings.clone())))
}

fn filter() -> TopicFilter {
    TopicFilter::try_from("a/#".to_owned()).unwrap()
}

fn subscribe(quota: &Arc<Quota>, qos: Qos) -> Qos {
    let pending = quota.begin_subscribe(&filter(), qos).unwrap().unwrap();
    let asked = pending.qos;
    pending.settle(true);
    asked
}

fn last(quota: &Arc<Quota>) -> PendingUnsubscribe {
    match quota.begin_unsubscribe(&filter()) {
        Ok(Unsubscribe::Last(pending)) => pending,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_qos_asked_for_is_no_lower_than_other_tokens_have() {
    let [a, b] = two();
    assert_eq!(subscribe(&a, Qos::AtLeastOnce), Qos::AtLeastOnce);
    assert_eq!(subscribe(&b, Qos::AtMostOnce), Qos::AtLeastOnce);
    assert!(matches!(a.begin_unsubscribe(&filter()), Ok(Unsubscribe::StillHeld)));
    assert_eq!(subscribe(&b, Qos::AtMostOnce), Qos::AtMostOnce, "the only token gets what it asks for");
}

#[test]
fn a_token_that_subscribes_during_the_last_unsubscribe_is_subscribed_again() {
    let [a, b] = two();
    subscribe(&a, Qos::AtMostOnce);
    let pending = last(&a);
    assert!(b.begin_unsubscribe(&filter()).is_err(), "it is the other token's until the broker has answered");
    subscribe(&b, Qos::AtLeastOnce);
    assert_eq!(pending.settle(true), Some(Qos::AtLeastOnce));
    assert_eq!(last(&b).settle(true), None);
    assert!(matches!(a.begin_unsubscribe(&filter()), Ok(Unsubscribe::NotHeld)), "no token holds it");
}

#[test]
fn a_refusal_of_the_broker_changes_nothing() {
    let [a, b] = two();
    subscribe(&a, Qos::AtMostOnce);
    assert_eq!(last(&a).settle(false), None);
    b.begin_subscribe(&filter(), Qos::AtLeastOnce).unwrap().unwrap().settle(false);
    drop(b.begin_subscribe(&filter(), Qos::AtLeastOnce));
    assert!(b.begin_unsubscribe(&filter()).is_err(), "it is still the first token's");
    assert_eq!(last(&a).settle(true), None);
}
