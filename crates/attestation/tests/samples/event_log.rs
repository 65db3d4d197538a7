//! Event logs made for the tests.

#![allow(dead_code)] // Each test file uses a part.

use ring::digest::{SHA384, digest};

/// An entry: index of the register, type, digest, data.
pub(crate) type Entry<'a> = (u32, u32, [u8; 48], &'a [u8]);

pub(crate) const SEPARATOR: u32 = 4;
pub(crate) const EFI_ACTION: u32 = 0x8000_0007;

/// An entry whose digest is that of its data.
pub(crate) fn hashed(index: u32, event_type: u32, data: &[u8]) -> Entry<'_> {
    (index, event_type, sha384(data), data)
}

pub(crate) fn sha384(data: &[u8]) -> [u8; 48] {
    digest(&SHA384, data).as_ref().try_into().unwrap()
}

/// A log, without padding.
pub(crate) fn event_log(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut log = header(&[(0xc, 48)]);
    for (index, event_type, digest, data) in entries {
        log.extend([index, event_type, &1].map(|number| number.to_le_bytes()).concat());
        log.extend(0xc_u16.to_le_bytes());
        log.extend(digest);
        log.extend((data.len() as u32).to_le_bytes());
        log.extend(*data);
    }
    log
}

/// The first entry, for these algorithms and sizes.
pub(crate) fn header(algorithms: &[(u16, u16)]) -> Vec<u8> {
    let mut event = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
    event.extend((algorithms.len() as u32).to_le_bytes());
    event.extend(algorithms.iter().flat_map(|(id, bytes)| [id.to_le_bytes(), bytes.to_le_bytes()].concat()));
    event.push(0);
    let length = event.len() as u32;
    [&1_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &[0; 20], &length.to_le_bytes(), &event].concat()
}

/// The start of a Google machine with Container-Optimized OS 113, as it measured it: published as a test's data in
/// `google/go-eventlog`. The quote `tdx-cos-padded` comes from such a machine.
pub(crate) fn container_optimized_os() -> Vec<u8> {
    let digest = |text: &str| hex::decode(text).unwrap().try_into().unwrap();
    let entries: Vec<Entry<'_>> =
        COS_113.iter().map(|(index, event_type, hex)| (*index, *event_type, digest(hex), &[][..])).collect();
    // As firmware leaves it, in memory that it filled with ones.
    let mut log = event_log(&entries);
    log.resize(256 << 10, 0xff);
    log
}

const COS_113: [(u32, u32, &str); 43] = [
    (
        1,
        0x8000_000b,
        "458994daa60deac8dea19dba79748f6ff93fd0aebb8e3e0be5a65eb12309d342c3ce31cc67af7bbd22af1a44e7d9fe21",
    ),
    (
        1,
        0x8000_000a,
        "58bed422cb788e1fd149cb09db600426e1561bb52461e34298cf262cf9cb3d338861f9996f82d436800f01b740be18df",
    ),
    (
        1,
        0x8000_0001,
        "cfa4e2c606f572627bf06d5669cc2ab1128358d27b45bc63ee9ea56ec109cfafb7194006f847a6a74b5eaed6b73332ec",
    ),
    (
        1,
        0x8000_0001,
        "7a0c71872cc157b4009b31ca1afd577590ce0275731943b6a12abb6b132be9bb26939da461e9cca610b9cff054ecb0f4",
    ),
    (
        1,
        0x8000_0001,
        "bf612542a5832d764b6869124b64ea7b69efd08319294e9e3e54ad442d14985c27b078c366f91044ac966a1fe35782af",
    ),
    (
        1,
        0x8000_0001,
        "3ac820337c81fb7f0d89006cb2756554cf783639582fb220d4100092aa641d54b562e1956b3493aed544f2ec5666bcad",
    ),
    (
        1,
        0x8000_0001,
        "914f729e9e70cc30930f81293b50de63d6e8a3fa1ad1e1345be89620cd9b6d5a2406728af83fe9bfd4129c78181194b8",
    ),
    (1, 0x4, "394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0"),
    (1, 0xa, "f29e022d067da7289c935eec2477c46032f2e0659a11e658f0ae05068aea420189e77e302b715084dacc7c0c4c118ea6"),
    (1, 0xa, "509dcfe10beb5d470c40f25e30895370948831b9cf79db15d977e7bba8eb42f7200212071ad8b19d6011759779eced5a"),
    (1, 0xa, "0f0b426cbd5bd9c2a4a5e640e6c4556b8df071dcc973dcf95465ae5514c0eba6dc960a6b7b21d29099cada75dc1b46d5"),
    (
        1,
        0x8000_0002,
        "7210af19145ec2a8e250a7fe8e9eeeac1301e524daab82366c36be614dc35402a289101e48cad61c45337f2f32c14fdc",
    ),
    (
        1,
        0x8000_0002,
        "a25333c7aec2e0993034938c7f11893b3c2bcaf67e88c342a3d586f6f7fae2c6a1247a9ed86988080a6d4be497d4fbb6",
    ),
    (
        1,
        0x8000_0002,
        "23ada07f5261f12f34a0bd8e46760962d6b4d576a416f1fea1c64bc656b1d28eacf7047ae6e967c58fd2a98bfa74c298",
    ),
    (
        2,
        0x8000_0007,
        "77a0dab2312b4e1e57a84d865a21e5b2ee8d677a21012ada819d0a98988078d3d740f6346bfe0abaa938ca20439a8d71",
    ),
    (2, 0x4, "394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0"),
    (
        2,
        0x8000_0006,
        "e1d51dadc14440d4800e54731a818bd38e43c38a672ef490e2504be2dced5ba080a6931b414146f22f7d850c09a9cb3f",
    ),
    (
        2,
        0x8000_0003,
        "5a10026c9ad41d1f90dc9cfe88bcabe1842ccfd85495c81b1a1ab926a9ef23b5d2e60eefeba0415bbe5c8c328a899a0a",
    ),
    (3, 0xd, "80ee2571334a57bf90238d21964447e542079d4805fa87887817a97dcb720906683a09b1ac634c76c0c0be1177f76110"),
    (3, 0xd, "80ee2571334a57bf90238d21964447e542079d4805fa87887817a97dcb720906683a09b1ac634c76c0c0be1177f76110"),
    (
        1,
        0x8000_00e0,
        "f143e2948d63fcd3442e841bb36a7e180871f0a8946541961fe9d12e70d0727874600956264dba531e2edd8729c5eb38",
    ),
    (
        1,
        0x8000_00e0,
        "841b29f5200c91e1a02e64a6636587bac5b85496a67e6d3c3cf52415a7ab726b4d2259134d84e9082191ac8ee15b7890",
    ),
    (3, 0xd, "8d2ce87d86f55fcfab770a047b090da23270fa206832dfea7e0c946fff451f819add242374be551b0d6318ed6c7d41d8"),
    (
        2,
        0x8000_0003,
        "b1fb7f4c0689f5a920b800b2607075f4906f8c8282d44e56fc991ec01f1adac176d2040a26f1453df112d7c4f4293fc9",
    ),
    (3, 0xd, "e04d5d0237fec40fb94d3b70f4e04017759ddc929d87a8de7f0ef5922c2a216f80220f99d215063d65420bdd3e49a658"),
    (3, 0xd, "36142e70be9729df1565b53754fd1cdd126e97faf196bc046e0b92009e0d163bb2d471fff97b80bbdc74886522626695"),
    (3, 0xd, "f2d71941cc3ce863ed74640326a112f1a998be9f67ffabdfa1f2db768d968858a85c35811887575b416375048ac4c78a"),
    (3, 0xd, "c3709649b45ac83af3665c4c8e8b2aa6a427dc41aa4809afb7f95582e386a5aeb6018f602e945be4f6b679b2cea2919f"),
    (3, 0xd, "b2cca543cc3e594e75d76068b28d35d0460624afbc669cb9ff75f27463b4f4a810d653ea9143898a8b7761a172bd0da3"),
    (3, 0xd, "4679617e45bf4661a35c66b9f427aa3eb9fe826575f6095c9e539a09fcb972e533b6c24d7370bbb5b18f29bf02137e2a"),
    (3, 0xd, "fdf938c911f83167bcb1ea5c28b3628e844e1dfea0abe7a5fd82c4ab4d1a292ac8ab0ed2e7686d6fc001260a621e118b"),
    (3, 0xd, "54836d3465339db08f1fc8c7cc2630918a486ca4447f416dd5a267e337308f07b898c6dd7a2586a382ac40917f1ac222"),
    (3, 0xd, "ccfc7548f5ddc055db61c4a4e464866cb36b9437e31020f83c1586aae4d36da63d11f26f798d526e1ca500ca95981c1e"),
    (3, 0xd, "d3f4b7a5575da3a8e41030f0ecf58efd3e4600b3a4daa79c8c0fdd81c6508563293368460e56936a2c9972dad2fe94a2"),
    (3, 0xd, "316b35059768541a08a209313eb820048ec713a9dfee05a75e0f1ec41925072c2921291c57727742acfd1c8525212dc4"),
    (3, 0xd, "7c93d6d64bf86437c8099dd9a1fc4701947b8aef8b6047d0841de7f89de972b5592fa4e4d5d519109f93b957dd32d919"),
    (3, 0xd, "dcaef5fafa53a8bfa97361463fed871f8f1182ee5e2ca720f3b69ea37de5c355696dcaf965030033cd89f80e99523494"),
    (3, 0xd, "22b7d160453406cad54e0ddfc7e9e7e941bd6491da426809eacb2e63a87effb9a8ade1ab88b801b7a2c03bc27063228a"),
    (3, 0xd, "94043011c980e15e2a281316d18eb2d592e4d2dca9f156df93c101713fb2a82e4641c985671b65485bc7f82aae1d437a"),
    (3, 0xd, "b1012372f421ad28c9f542e5a1b8c4d312a0d1c8637ffba5e52b632d4b632e504da1b73964f6e8ba047bcd4f1d5a1dfe"),
    (3, 0xd, "129cc599796a3afe25eaa16b8a0ebfa0f59f2b82c03780941081313bb56d2d0fc2c81a87d4656ef2af95e5bb758bc8f0"),
    (
        2,
        0x8000_0007,
        "214b0bef1379756011344877743fdc2a5382bac6e70362d624ccf3f654407c1b4badf7d8f9295dd3dabdef65b27677e0",
    ),
    (
        2,
        0x8000_0007,
        "0a2e01c85deae718a530ad8c6d20a84009babe6c8989269e950d8cf440c6e997695e64d455c4174a652cd080f6230b74",
    ),
];
