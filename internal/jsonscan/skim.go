package jsonscan

import "math/bits"

// skim returns the offset behind the value that starts at b[i], or -1: what
// [Cursor.Skim] promises.
func skim(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return str(b, i+1)
	case '{', '[':
		return closes(b, i+1, b[i])
	default:
		return scalar(b, i)
	}
}

// scalar returns the offset behind the number or literal that starts at b[i], or
// -1.
func scalar(b []byte, i int) int {
	switch b[i] {
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	}
	return number(b, i)
}

// closes returns the offset behind the bracket that closes one that is open, from
// b[i] on, which is outside of all strings; or -1. The open one is a brace if
// kind is, of whichever side.
//
// It goes through the text by blocks. Where a block has quotes is a word with
// one bit for each byte, and so is what is inside a string, which is between an
// odd quote and an even one. The brackets that are left outside are all that is
// looked at one by one. Where there is nothing to be found for long, inside a
// string or in a list of numbers, it goes on in bigger steps.
func closes(b []byte, i int, kind byte) int {
	var below [MaxDepth / 32]uint64
	st := stack{braces: 2 | brace(kind)}
	inside := uint64(0)  // all ones if the block begins inside a string
	escaped := uint64(0) // one if its first byte is escaped
	for i < len(b) {
		found, marks := classify(b[i:])
		strings := parity(found) ^ inside
		if marks&strings|escaped != 0 { // there may be a backslash in a string
			var e uint64
			e, escaped = escapes(positions(b[i:], backslashes), escaped)
			found &^= e
			strings = parity(found) ^ inside
		}
		for m := marks &^ strings; m != 0; m &= m - 1 {
			first := bits.TrailingZeros64(m)
			if ^m>>first == 0 { // nothing but brackets to the end of the block
				var n int
				st, n = st.run(b[i+first : i+blockSize])
				if m &= ^uint64(0) << (first + n); m == 0 {
					break
				}
				first += n
			}
			at := i + first
			c, ok := b[at], false
			switch c | ('{' - '[') { // braces and other brackets alike
			case '{':
				st, ok = st.push(c, &below)
			case '}':
				st, ok = st.pop(c, &below)
			}
			if !ok {
				return -1
			}
			if st == empty {
				return at + 1
			}
		}
		inside = uint64(int64(strings) >> 63)
		switch i += blockSize; {
		case inside != 0 && bits.LeadingZeros64(found) >= longString:
			if i = str(b, i); i < 0 {
				return -1
			}
			inside, escaped = 0, 0
		case found|marks == 0:
			i = plainUntil(b, i)
		}
	}
	return -1
}

// A stack knows which brackets are open: the last 32 at most in braces, one bit
// each, whether it is a brace, behind a one that says how many there are. A full
// one goes below, and comes back when all that came later are closed.
type stack struct {
	braces uint64
	level  int // how many went below
}

var empty = stack{braces: 1}

const fullStack = 1 << 32

// push takes an opening bracket, and reports whether there may be one more.
func (s stack) push(c byte, below *[MaxDepth / 32]uint64) (stack, bool) {
	if s.braces >= fullStack {
		if s.level == len(below)-1 {
			return s, false
		}
		below[s.level] = s.braces
		s.level++
		s.braces = 1
	}
	s.braces = s.braces<<1 | brace(c)
	return s, true
}

// pop takes a closing bracket, and reports whether it is that of the last open
// one.
func (s stack) pop(c byte, below *[MaxDepth / 32]uint64) (stack, bool) {
	ok := s.braces&1 == brace(c)
	if s.braces >>= 1; s.braces == 1 && s.level > 0 {
		s.level--
		s.braces = below[s.level]
	}
	return s, ok
}

// run takes the brackets at the start of b while they are of one kind and fit
// in, as they mostly do where nesting is deep, and returns how many it took.
func (s stack) run(b []byte) (stack, int) {
	n := 0
	switch c := b[0]; c {
	case '[', '{':
		for n < len(b) && b[n] == c && s.braces < fullStack {
			s.braces = s.braces<<1 | brace(c)
			n++
		}
	case ']', '}':
		for n < len(b) && b[n] == c && s.braces > 3 && s.braces&1 == brace(c) {
			s.braces >>= 1
			n++
		}
	}
	return s, n
}

// brace returns one for a brace, and zero for another bracket.
func brace(c byte) uint64 { return uint64(c >> 5 & 1) }

const (
	// longString is how many bytes of a string there must be in a block for
	// the rest to be looked for apart.
	longString = 16

	// shortWay is how near two quotes are where there may be many, and company
	// how many there are in a block where there are.
	shortWay, company = 4, 4
)

// str returns the offset behind the string that b[i] is in, behind its first
// quote, or -1.
func str(b []byte, i int) int {
	for i < len(b) {
		n := near(b[i:], '"', quotes)
		if n < 0 {
			return -1
		}
		if i += n + 1; !oddBackslashes(b, i-1) {
			return i
		}
		if n >= shortWay {
			continue
		}
		// Where escaped quotes keep close company they are taken by blocks.
		escaped := uint64(0)
		for many := true; many && i < len(b); i += blockSize {
			q := positions(b[i:], quotes)
			many = bits.OnesCount64(q) >= company
			var e uint64
			e, escaped = escapes(positions(b[i:], backslashes), escaped)
			if q &^= e; q != 0 {
				return i + bits.TrailingZeros64(q) + 1
			}
		}
	}
	return -1
}

// oddBackslashes reports whether b[i], which is in a string, is behind an odd
// number of backslashes. What ends a run of them, the quote before at the
// latest, is none, so each is counted once in all.
func oddBackslashes(b []byte, i int) bool {
	n := i
	for b[n-1] == '\\' {
		n--
	}
	return (i-n)%2 == 1
}
