//! A batch spread over ranks has the same loss and gradients as the whole batch, with threads and with processes.

use std::process::Command;
use std::time::Duration;

use burn::tensor::{Device, Int, Tensor, TensorData};
use coin_loss::collective::{Collective, CollectiveError, LocalCollective, NetworkCollective, NetworkOptions};
use coin_loss::{Batch, InfoNceConfig};

/// Rows of every rank, and their width.
const ROWS: usize = 3;
const WIDTH: usize = 5;
const RANKS: usize = 3;

fn rows(first: usize, count: usize, phase: f32, device: &Device) -> Tensor<2> {
    let values: Vec<f32> =
        (first * WIDTH..(first + count) * WIDTH).map(|at| (at as f32 * 1.7 + phase).sin() * (1.0 + phase)).collect();
    Tensor::from_data(TensorData::new(values, [count, WIDTH]), device)
}

/// Group numbers that need more than 16 bits. Two of them are shared by rows of different ranks.
fn groups(first: usize, count: usize, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = (first..first + count).map(|row| [70_001, 70_002, 5, -6][row % 4]).collect();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn batch(first: usize, count: usize, device: &Device) -> (Tensor<2>, Tensor<2>, Batch) {
    let anchor = rows(first, count, 0.1, device).require_grad();
    let positive = rows(first, count, 0.5, device).require_grad();
    let weights: Vec<f32> = (first..first + count).map(|row| 1.0 + row as f32 * 0.25).collect();
    let batch = Batch::pairs(anchor.clone(), positive.clone())
        .with_hard_negative(rows(first, count, 2.0, device))
        .with_groups(groups(first, count, device))
        .with_row_weights(Tensor::from_data(TensorData::new(weights, [count]), device));
    (anchor, positive, batch)
}

/// Loss, gradients of the anchors, gradients of the positives.
type Result = (f32, Vec<f32>, Vec<f32>);

fn evaluate(batch: Batch, anchor: &Tensor<2>, positive: &Tensor<2>) -> Result {
    let output = InfoNceConfig::new().init().unwrap().forward_batch(batch);
    let gradients = output.loss.backward();
    let of = |rows: &Tensor<2>| rows.grad(&gradients).unwrap().try_into_vec_as::<f32>().unwrap();
    (output.loss.into_scalar::<f32>(), of(anchor), of(positive))
}

fn whole() -> Result {
    let (anchor, positive, batch) = batch(0, ROWS * RANKS, &Device::flex().autodiff());
    evaluate(batch, &anchor, &positive)
}

/// Evaluates one rank's part.
fn of_rank(collective: &dyn Collective) -> Result {
    let (anchor, positive, batch) = batch(collective.rank() * ROWS, ROWS, &Device::flex().autodiff());
    evaluate(batch.all_gather(collective).unwrap(), &anchor, &positive)
}

fn assert_parts_equal_the_whole(parts: &[Result]) {
    let (loss, anchor, positive) = whole();
    for (rank, part) in parts.iter().enumerate() {
        // Equal to the bit: the operations and their inputs are the same.
        assert_eq!(part.0, loss);
        let own = rank * ROWS * WIDTH..(rank + 1) * ROWS * WIDTH;
        assert_eq!(part.1, anchor[own.clone()]);
        assert_eq!(part.2, positive[own]);
    }
}

#[test]
fn threads_give_the_gradients_of_the_whole_batch() {
    let parts = std::thread::scope(|scope| {
        let ranks: Vec<_> = LocalCollective::new(RANKS)
            .into_iter()
            .map(|collective| scope.spawn(move || of_rank(&collective)))
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
    });
    assert_parts_equal_the_whole(&parts);
}

#[test]
fn many_rounds_stay_in_order_and_all_ranks_get_the_same_sums() {
    let sums = std::thread::scope(|scope| {
        let ranks: Vec<_> = LocalCollective::new(4)
            .into_iter()
            .map(|collective| {
                scope.spawn(move || {
                    let own = |round: usize| (collective.rank() * 100 + round) as f32 * 0.1;
                    let round = |round| {
                        let own = Tensor::<1>::from_floats([own(round)], &Device::flex());
                        collective.all_reduce(own).unwrap().into_scalar::<f32>()
                    };
                    (0..200).map(round).collect::<Vec<f32>>()
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(sums.iter().all(|of_rank| of_rank == &sums[0]));
    for (round, sum) in sums[0].iter().enumerate() {
        let expected = (0..4).map(|rank| (rank * 100 + round) as f32 * 0.1).sum::<f32>();
        assert_eq!(*sum, expected);
    }
}

#[test]
fn ranks_do_not_wait_for_a_rank_that_is_gone() {
    let mut ranks = LocalCollective::new(3);
    drop(ranks.remove(1));
    let error = ranks[0].all_gather(rows(0, 1, 0.0, &Device::flex())).unwrap_err();
    assert!(matches!(error, CollectiveError::Gone(1)), "{error}");
}

#[test]
fn different_shapes_and_masks_are_refused() {
    let errors = std::thread::scope(|scope| {
        let ranks: Vec<_> = LocalCollective::new(2)
            .into_iter()
            .map(|collective| {
                scope.spawn(move || {
                    collective.all_gather(rows(0, 1 + collective.rank(), 0.0, &Device::flex())).unwrap_err().to_string()
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(errors[0], "rank 1 gave [2, 5], expected [1, 5]");
    let alone = LocalCollective::new(1).remove(0);
    let (.., batch) = batch(0, 2, &Device::flex().autodiff());
    let excluded = Tensor::<2, Int>::zeros([2, 2], &Device::flex().autodiff()).bool();
    let error = batch.with_excluded(excluded).all_gather(&alone).unwrap_err();
    assert!(error.to_string().contains("groups"), "{error}");
}

/// A port that was free a moment ago.
fn address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn options(address: &str, rank: usize) -> NetworkOptions {
    NetworkOptions {
        session: "the test".to_owned(),
        timeout: Duration::from_secs(60),
        ..NetworkOptions::new(address, rank, RANKS)
    }
}

/// Prints the part of a rank other than 0, when the test program runs again as that rank.
#[test]
fn as_another_rank() {
    let Ok(rank) = std::env::var("COIN_LOSS_TEST_RANK") else { return };
    let address = std::env::var("COIN_LOSS_TEST_ADDRESS").unwrap();
    let collective = NetworkCollective::connect(&options(&address, rank.parse().unwrap())).unwrap();
    let (loss, anchor, positive) = of_rank(&collective);
    let bits = |values: Vec<f32>| values.iter().map(|value| value.to_bits().to_string()).collect::<Vec<_>>().join(",");
    println!("PART {};{};{}", loss.to_bits(), bits(anchor), bits(positive));
}

#[test]
fn processes_give_the_gradients_of_the_whole_batch() {
    let address = address();
    let start = |rank: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["as_another_rank", "--exact", "--nocapture"])
            .env("COIN_LOSS_TEST_RANK", rank.to_string())
            .env("COIN_LOSS_TEST_ADDRESS", &address)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    // The last rank may connect before rank 0 listens.
    let late = start(2);
    let others = [start(1), late];
    let collective = NetworkCollective::connect(&options(&address, 0)).unwrap();
    let mut parts = vec![of_rank(&collective)];
    for other in others {
        let output = other.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let at = text.find("PART ").expect(&text) + 5;
        let line = text[at..].lines().next().unwrap();
        let numbers = |text: &str| text.split(',').map(|bits| f32::from_bits(bits.parse().unwrap())).collect();
        let mut fields = line.split(';').map(numbers);
        let mut next = || -> Vec<f32> { fields.next().unwrap() };
        parts.push((next()[0], next(), next()));
    }
    assert_parts_equal_the_whole(&parts);
}

#[test]
fn strangers_are_ignored_and_other_runs_are_rejected() {
    let address = address();
    std::thread::scope(|scope| {
        let root =
            scope.spawn(|| NetworkCollective::connect(&NetworkOptions { world_size: 2, ..options(&address, 0) }));
        let stranger = scope.spawn(|| {
            use std::io::Write;
            let mut stream = loop {
                if let Ok(stream) = std::net::TcpStream::connect(&address) {
                    break stream;
                }
            };
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        });
        stranger.join().unwrap();
        let other = NetworkOptions { world_size: 2, session: "another".to_owned(), ..options(&address, 1) };
        let error = NetworkCollective::connect(&other).unwrap_err().to_string();
        assert!(error.contains("another run"), "{error}");
        let error = root.join().unwrap().unwrap_err().to_string();
        assert_eq!(error, "rank 1 gave 2 ranks on `another`, expected 2 ranks on `the test`");
    });
}

#[test]
fn a_rank_that_does_not_connect_is_named() {
    let address = address();
    let hasty = NetworkOptions { timeout: Duration::from_millis(100), ..options(&address, 0) };
    let error = NetworkCollective::connect(&hasty).unwrap_err().to_string();
    assert!(error.starts_with("rank 1 did not connect in time"), "{error}");
    let error = NetworkCollective::connect(&NetworkOptions { rank: 1, ..hasty.clone() }).unwrap_err().to_string();
    assert!(error.starts_with("cannot reach rank 0"), "{error}");
    let error = NetworkCollective::connect(&NetworkOptions { rank: 3, ..hasty }).unwrap_err().to_string();
    assert_eq!(error, "rank 3 of 3 ranks does not exist");
}
