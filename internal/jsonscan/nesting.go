package jsonscan

import "math/bits"

// A nesting knows which objects and arrays are open.
type nesting struct {
	// kinds has a bit for each of the innermost, the lowest for the last: whether
	// it is an object; and one more, which is set, above these. There are 1 to 32.
	kinds uint64
	// outer has those before, 32 each, as kinds has them. So MaxDepth fit in.
	outer [MaxDepth/32 - 1]uint64
	level int // how many of outer are in use
}

// full is what kinds is from when there are 33 in it.
const full = 1 << 33

// spill makes room in kinds, which is full, and returns what it is then; or false
// if more than MaxDepth are open.
func (n *nesting) spill(kinds uint64) (rest uint64, ok bool) {
	if n.level == len(n.outer) {
		return 0, false
	}
	n.outer[n.level] = kinds >> 1
	n.level++
	return 2 | kinds&1, true
}

// fill returns what kinds is when none are left in it, or false if none are open.
func (n *nesting) fill() (kinds uint64, ok bool) {
	if n.level == 0 {
		return 0, false
	}
	n.level--
	return n.outer[n.level], true
}

// take opens and closes by the brackets of a block, which are where marks has
// bits. It returns the marks that are left when the first of these closes all;
// and false if one is of the wrong kind, one too deep or no bracket at all.
func (n *nesting) take(block *[blockSize]byte, marks uint64) (left uint64, ok bool) {
	if marks == ^uint64(0) && n.repeated(block) {
		return 0, true
	}
	kinds := n.kinds
	for ; marks != 0; marks &= marks - 1 {
		c := block[bits.TrailingZeros64(marks)%blockSize]
		switch c | ('{' - '[') { // braces and other brackets alike
		case '{':
			kinds = kinds<<1 | brace(c)
			if kinds >= full {
				if kinds, ok = n.spill(kinds); !ok {
					return 0, false
				}
			}
		case '}':
			if kinds&1 != brace(c) {
				return 0, false
			}
			if kinds >>= 1; kinds < 2 {
				if kinds, ok = n.fill(); !ok {
					return marks, true
				}
			}
		default:
			return 0, false
		}
	}
	n.kinds = kinds
	return 0, true
}

// repeated takes a block that is the same bracket over and over, as is common
// only where somebody means harm. It leaves to take what does not go well.
func (n *nesting) repeated(block *[blockSize]byte) bool {
	c := block[0]
	for i := 0; i < blockSize; i += 8 {
		if word(block[i:]) != uint64(c)*ones {
			return false
		}
	}
	kinds, level, all := n.kinds, n.level, -brace(c)&(1<<32-1)
	inner := bits.Len64(kinds) - 1
	for range blockSize / 32 {
		switch {
		case c == '[' || c == '{':
			if inner == 32 || level == len(n.outer) {
				return false
			}
			kinds = kinds<<32 | all
			n.outer[level] = kinds >> inner
			kinds = 1<<inner | kinds&(1<<inner-1)
			level++
		case c == ']' || c == '}':
			if level == 0 {
				return false
			}
			level--
			if outer := n.outer[level]; (outer<<inner|kinds&(1<<inner-1))&(1<<32-1) != all {
				return false
			}
			kinds = n.outer[level] >> (32 - inner)
		default:
			return false
		}
	}
	n.kinds, n.level = kinds, level
	return true
}

// brace returns one for a brace, and zero for another bracket.
func brace(c byte) uint64 { return uint64(c >> 5 & 1) }
