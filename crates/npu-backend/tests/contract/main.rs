//! The contract of `Device`, clause by clause, on every device that there is.
//!
//! A clause is a function over a [`devices::Fixture`]; a device joins by a fixture and a module in `on_every_device`.
//! What only the emulator can show (poison, modelled times, faults by name) is in the `emulator` tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod copies;
mod counters;
mod devices;
mod failure;
mod lifetime;
mod loss;
mod no_panic;
mod order;
#[allow(dead_code, reason = "shared with the tests in tests/xrt, which use all of it")]
#[path = "../xrt/stage.rs"]
mod stage;

macro_rules! on_every_device {
    ($($room:ident :: $clause:ident,)*) => {
        mod emulator_strict {
            $(#[test] fn $clause() { crate::$room::$clause(&crate::devices::STRICT); })*
        }
        mod emulator_fuzzed {
            $(#[test] fn $clause() { crate::$room::$clause(&crate::devices::FUZZED); })*
        }
        mod emulator_xdna2 {
            $(#[test] fn $clause() { crate::$room::$clause(&crate::devices::XDNA2); })*
        }
        mod inside_xrt {
            $(#[test] #[ignore = "played inside the stage by the_hardware_s_device_keeps_every_clause"]
            fn $clause() { crate::$room::$clause(&crate::devices::XRT); })*
        }
    };
}

on_every_device! {
    copies::both_copies_start_as_zeros,
    copies::a_push_and_a_pull_carry_bytes_there_and_back,
    copies::ranges_are_carried_apart,
    copies::a_cleared_and_pushed_output_keeps_what_the_launch_writes,
    copies::a_resident_weight_is_pushed_once,
    order::launches_of_a_batch_run_in_order_and_see_each_other,
    order::batches_of_a_context_run_in_order_and_see_each_other,
    order::tickets_may_be_waited_for_in_any_order,
    order::more_batches_than_the_queue_holds_all_run,
    order::a_race_between_contexts_is_refused_and_sharing_for_reading_is_not,
    lifetime::buffers_and_context_of_an_unfinished_ticket_are_busy,
    lifetime::a_ticket_is_unfinished_until_waited_for,
    lifetime::a_buffer_freed_in_flight_serves_its_batch_and_is_unknown_at_once,
    lifetime::streams_can_be_added_to_a_context_at_any_time,
    lifetime::a_context_can_be_given_back_and_its_place_used_again,
    failure::what_can_be_checked_is_refused_at_submit_without_a_trace,
    failure::a_failed_launch_is_named_by_the_wait_and_the_device_goes_on,
    failure::launches_after_a_failed_one_of_its_chain_do_not_run,
    failure::a_wait_that_expires_is_no_failure,
    failure::a_hang_ends_by_itself_and_takes_the_queue_with_it,
    loss::every_verb_answers_device_lost_at_once,
    no_panic::absurd_arguments_are_errors,
    no_panic::ids_of_another_device_are_unknown,
    no_panic::one_context_too_many_is_an_error,
    no_panic::an_image_for_another_generation_is_refused,
    counters::verbs_are_counted,
}

/// On AMD's own XRT, with two copies of every buffer beneath it: a sync that is missing is seen.
#[test]
fn the_hardware_s_device_keeps_every_clause() {
    if let Some(stage) = stage::Stage::set() {
        stage.play("inside_xrt", true);
    }
}
