//! Batches of the devnet, judged by the verifier.

use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{Options, verify};

fn load(transactions: usize) -> Load {
    Load { transactions, cold_reads: 0, l1_transactions: 0 }
}

#[test]
fn ten_batches_in_a_row_verify_each_on_the_root_of_the_one_before() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let mut root = chain.root();
    for _ in 0..10 {
        let sealed = chain.seal(load(20)).unwrap();
        let verified = verify(sealed.input, Options::default()).unwrap();
        assert_eq!(verified.previous_root(), root);
        assert_eq!(verified.root(), sealed.root);
        root = sealed.root;
    }
}
