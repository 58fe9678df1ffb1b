package jsonscan

import "math/bits"

// A nesting is a stack of open brackets with one bit for each: 1 for an object, 0 for
// an array. So the brackets of most values fit into one register, and MaxDepth of them into
// 256 bytes.
type nesting struct {
	// kinds holds the innermost 1 to 32 brackets, the last in the lowest bit, and right
	// above them a set bit, which shows how many there are.
	kinds uint64

	// outer[:level] holds those further out, 32 in each, as kinds holds them.
	// Together there is room for MaxDepth.
	outer [MaxDepth/32 - 1]uint64
	level int
}

// full is the least value of kinds with 33 brackets, one too many.
const full = 1 << 33

// spill is called when a 33rd bracket has been pushed to kinds. It moves the 32 before it
// to outer and returns what kinds is then, or false if more than MaxDepth are open.
func (n *nesting) spill(kinds uint64) (rest uint64, ok bool) {
	if n.level == len(n.outer) {
		return 0, false
	}
	n.outer[n.level] = kinds >> 1
	n.level++
	return 2 | kinds&1, true
}

// fill is called when the last bracket in kinds has been closed. It returns what kinds is
// then, taken from outer, or false if no bracket is open any more.
func (n *nesting) fill() (kinds uint64, ok bool) {
	if n.level == 0 {
		return 0, false
	}
	n.level--
	return n.outer[n.level], true
}

// take pushes and pops the brackets of a block, which are at the set bits of marks: those
// outside of strings. At the bracket that closes the outermost one it stops and returns the
// marks from that one on; otherwise it returns 0. It returns false at a bracket of the wrong
// kind, one that is too deep, and a mark that is not a bracket.
func (n *nesting) take(block *[blockSize]byte, marks uint64) (left uint64, ok bool) {
	if marks == ^uint64(0) && n.takeRepeated(block) {
		return 0, true
	}
	if bits.OnesCount64(marks) >= dense && n.level <= len(n.outer)-2 { // 64 more brackets cannot exceed MaxDepth
		marks = withoutPairs(block, marks)
	}
	kinds := n.kinds
	for ; marks != 0; marks &= marks - 1 {
		c := block[bits.TrailingZeros64(marks)%blockSize]
		switch c | ('{' - '[') { // the bit that tells braces from brackets
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

// dense is how many marks a block must have for it to be quicker to take out pairs of brackets
// first than to go through them one by one.
const dense = 16

// withoutPairs returns the marks of a block less some pairs of brackets that match: first those
// with no mark in between and then, as long as many are left and many go, those around them.
// take comes to the same result without the pairs, but does not see how deep they were, so the
// caller must make sure that they are not too deep. If a bracket is closed by one of the other
// kind, withoutPairs returns all marks: take must find out whether that is a mistake, since
// the outermost bracket may close before it.
func withoutPairs(block *[blockSize]byte, marks uint64) (left uint64) {
	opens, closes, braces := brackets(block)
	for left, opens = marks, opens&marks; ; {
		ends := closes & nextMarks(opens, left)
		if ends&(nextMarks(opens&braces, left)^braces) != 0 {
			return marks
		}
		begins := bits.Reverse64(nextMarks(bits.Reverse64(ends), bits.Reverse64(left)))
		before := bits.OnesCount64(left)
		opens, left = opens&^begins, left&^(begins|ends)
		if n := bits.OnesCount64(left); n < dense || n > before*3/4 { // deep nesting has few such pairs
			return left
		}
	}
}

// nextMarks returns, for each of some marks, the next of all marks after it. In the complement
// of the marks there are ones between two marks, so a one that is added right after the first
// mark is carried up to the zero at the second.
func nextMarks(some, marks uint64) uint64 { return (some<<1 + ^marks) & marks }

// takeRepeated is take for a block that is 64 times the same bracket. It takes 32 at once: they
// leave the number of brackets in kinds as it was, and outer grows or shrinks by one word. Only
// deep nesting has such blocks, and one by one they take four times as long. If the block is no
// such block, or if not all of it is in order, takeRepeated does nothing and returns false: then
// take finds the mistake.
func (n *nesting) takeRepeated(block *[blockSize]byte) bool {
	c := block[0]
	for i := 0; i < blockSize; i += 8 {
		if word(block[i:]) != uint64(c)*ones {
			return false
		}
	}
	kinds, level, all := n.kinds, n.level, -brace(c)&(1<<32-1) // all: 32 brackets of the kind
	inner := bits.Len64(kinds) - 1                             // how many brackets are in kinds, before and after
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

// brace returns 1 for a brace and 0 for a square bracket, opening or closing: they differ in bit
// 0x20, which a brace has.
func brace(c byte) uint64 { return uint64(c >> 5 & 1) }

// closer returns the bracket that closes the innermost of kinds.
func closer(kinds uint64) byte { return ']' + byte(kinds&1<<5) }
