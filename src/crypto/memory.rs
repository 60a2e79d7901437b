//! The memory that a hashing thread keeps from one hash to the next.
//!
//! In huge pages a hash takes some 6 % less processor time (14.0 ms against 14.9 ms for 19 MiB). No safe interface asks for
//! them for memory that holds argon2's blocks, so where the kernel gives them only on request it is up to the operator:
//! `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` has the C library ask.

use argon2::Block;

/// Blocks to compute a hash in.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl Memory {
    /// At least `count` blocks.
    pub fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0 = Vec::new(); // freed first: what it holds is not needed
            self.0 = vec![Block::new(); count];
        }
        &mut self.0
    }

    /// Frees the memory if it is more than `count` blocks.
    pub fn shrink(&mut self, count: usize) {
        if self.0.len() > count {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_up_to_a_limit() {
        let mut memory = Memory::default();
        assert_eq!(memory.blocks(8).len(), 8);
        assert_eq!(memory.blocks(7).len(), 8);
        memory.shrink(8);
        assert_eq!(memory.blocks(0).len(), 8);
        memory.shrink(7);
        assert_eq!(memory.blocks(0).len(), 0);
    }
}
