//! Which acknowledgement settles which message.

use super::*;

#[test]
fn each_qos_is_settled_by_its_last_packet() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 1, 2]);
    send(&mut table, &time, 0);
    assert_eq!(table.take_settled(), [(0, Ok(Published::HandedOver))]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.acknowledged(PubRec, 2, Some(16), None).unwrap();
    assert_eq!(table.take_settled(), []);
    table.acknowledged(PubComp, 2, Some(0), None).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(2, acknowledged(2, 16)), (1, acknowledged(1, 0))]);
    assert_eq!((table.unsettled(), table.unacknowledged()), (0, 0));
}

#[test]
fn mqtt_3_1_1_has_no_reason_code() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, None, None).unwrap();
    let outcome = Ok(Published::Acknowledged { packet_identifier: 1, reason_code: None });
    assert_eq!(table.take_settled(), [(0, outcome)]);
}

#[test]
fn a_refusal_settles_only_its_message() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 2, Some(135), None).unwrap();
    table.acknowledged(PubAck, 3, Some(151), None).unwrap();
    assert_eq!(table.take_settled(), [(1, Err(Failure::Refused(135))), (2, Err(Failure::Refused(151)))]);
    assert_eq!(table.unacknowledged(), 1);
}

#[test]
fn acknowledgements_may_come_out_of_order() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    for packet_identifier in [3, 1, 2] {
        table.acknowledged(PubAck, packet_identifier, Some(0), None).unwrap();
    }
    let callers: Vec<u32> = table.take_settled().into_iter().map(|(caller, _)| caller).collect();
    assert_eq!(callers, [2, 0, 1]);
}

#[test]
fn an_unexpected_acknowledgement_settles_nothing() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    for (kind, packet_identifier) in [(PubAck, 2), (PubComp, 2), (PubRec, 1), (PubComp, 1), (PubAck, 7)] {
        let violation = Violation::Acknowledgement { kind, packet_identifier };
        assert_eq!(table.acknowledged(kind, packet_identifier, Some(0), None), Err(violation));
    }
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    assert!(table.acknowledged(PubRec, 2, Some(0), None).is_err(), "twice");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert!(table.acknowledged(PubAck, 1, Some(0), None).is_err(), "twice");
    assert_eq!(table.take_settled(), [(0, acknowledged(1, 0))]);
    assert_eq!(table.written(9, true, time.at(0)), Err(Violation::Written(9)));
}

#[test]
fn a_puback_settles_qos_2_in_mqtt_3_1_1_once_and_not_after_a_pubrec() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[2, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.acknowledged(PubAck, 1, None, None).unwrap();
    assert!(table.acknowledged(PubAck, 1, None, None).is_err(), "twice");
    table.acknowledged(PubRec, 2, None, None).unwrap();
    assert!(table.acknowledged(PubAck, 2, None, None).is_err(), "the PUBREC said that the broker supports QoS 2");
    let outcome = Ok(Published::Acknowledged { packet_identifier: 1, reason_code: None });
    assert_eq!(table.take_settled(), [(0, outcome)]);
}
