//! Refunds: the part of the gas it paid for that a transaction gets back.

use tee_eravm::U256;

/// The fees that matter for a refund.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fees {
    pub(crate) base_fee: u64,
    pub(crate) fair_l2_gas_price: u64,
    pub(crate) fair_pubdata_price: u64,
}

/// The gas that a transaction used, according to the bootloader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) gas_limit: u64,
    /// The refund that the bootloader would make.
    pub(crate) bootloader_refund: u64,
    pub(crate) gas_for_pubdata: u64,
    pub(crate) gas_per_pubdata_byte: u32,
    pub(crate) pubdata_bytes: u32,
}

/// The refund that a node proposes: what was paid, less the fair price of what was used. `None` if the numbers
/// contradict each other.
pub(crate) fn proposed_refund(fees: &Fees, usage: &Usage) -> Option<u64> {
    let spent = usage.gas_limit.checked_sub(usage.bootloader_refund)?;
    let for_computation = spent.saturating_sub(usage.gas_for_pubdata);
    let product = |a: u64, b: u64| U256::from(u128::from(a) * u128::from(b));
    let price_of_byte =
        product(fees.base_fee, usage.gas_per_pubdata_byte.into()).min(U256::from(fees.fair_pubdata_price));
    let fair_fee = product(for_computation, fees.fair_l2_gas_price)
        .checked_add(U256::from(usage.pubdata_bytes).checked_mul(price_of_byte)?)?;
    let unused = product(usage.gas_limit, fees.base_fee).saturating_sub(fair_fee);
    let base_fee = U256::from(fees.base_fee);
    let refund = unused.checked_add(base_fee)?.checked_sub(U256::from(1))?.checked_div(base_fee)?;
    u64::try_from(refund).ok()
}

/// The base fee at which each transaction can pay for what it publishes.
pub(crate) fn base_fee(fair_l2_gas_price: u64, fair_pubdata_price: u64) -> u64 {
    /// The most gas per byte that a transaction can be made to pay.
    const MAX_GAS_PER_PUBDATA_BYTE: u64 = 50_000;
    fair_l2_gas_price.max(fair_pubdata_price.div_ceil(MAX_GAS_PER_PUBDATA_BYTE))
}
