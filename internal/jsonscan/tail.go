package jsonscan

import "math/bits"

// A Tail reads the members of an object from the last one back, without a look
// at those before. What it returns it has read to the letter: from there on, the
// text is the end of a well-formed object. Whether what is before makes it one
// takes reading it; if it does, the members are the ones that a Cursor finds.
type Tail struct {
	data []byte
	pos  int // the comma or brace behind the member to be read next
	low  int // how far back it may go
	bad  bool
}

// NewTail returns a Tail behind the last member of the object in data. It looks
// at no more than the last window bytes, so each member costs no more than that.
func NewTail(data []byte, window int) Tail {
	t := Tail{data: data, low: max(0, len(data)-window)}
	if t.low > 0 && t.low < len(data) && data[t.low] == '\\' {
		// Whether the byte behind these backslashes is escaped depends on how many
		// there are in front of the window.
		for t.low < len(data) && data[t.low] == '\\' {
			t.low++
		}
		t.low = min(t.low+1, len(data))
	}
	t.pos = t.spaceBack(len(data)) - 1
	t.bad = t.pos >= t.low && data[t.pos] != '}'
	return t
}

// OK reports whether nothing malformed was met. It is true where a member has
// not been read because it reaches beyond the window.
func (t *Tail) OK() bool { return !t.bad }

// Member goes back by one member and returns its name, as it stands between its
// quotes, and the text of its value. It returns false at the start of the object,
// where something is malformed and where the member reaches beyond the window.
func (t *Tail) Member() (name, value []byte, ok bool) {
	if t.bad || t.pos <= t.low {
		return nil, nil, false
	}
	b := t.data
	end := t.spaceBack(t.pos)
	from := t.valueBack(end)
	colon := t.spaceBack(from) - 1
	nameEnd := t.spaceBack(colon)
	start := t.stringBack(nameEnd)
	comma := t.spaceBack(start) - 1
	if comma < t.low {
		return nil, nil, false // too far, or nothing but an empty object
	}
	// Going back has been a guess at where things begin. Going forward over
	// them is the proof.
	t.bad = b[colon] != ':' || str(b[:nameEnd], start+1) != nameEnd || skip(b[:end], from) != end ||
		b[comma] != ',' && (b[comma] != '{' || space(b, 0) != comma)
	if t.bad {
		return nil, nil, false
	}
	t.pos = comma
	return b[start+1 : nameEnd-1], b[from:end], true
}

// What follows returns an offset before t.low if it would have to go there, and
// again if it is given one.

// spaceBack returns the offset behind what comes before white space.
func (t *Tail) spaceBack(i int) int {
	for i > t.low && space(t.data[:i], i-1) == i {
		i--
	}
	return i
}

// stringBack returns the offset of the string that ends at i, if one does.
func (t *Tail) stringBack(i int) int {
	b := t.data[t.low:]
	i -= t.low + 1
	// Most strings are short, or do not begin in the window.
	for short := i - 40; i >= 8 && i > short; {
		w := word(b[i-8:i:i]) ^ quotes
		found := ^(w&^highs + ^uint64(highs) | w) & highs // where w has a zero byte, and nowhere else
		if found == 0 {
			i -= 8
			continue
		}
		if i -= 1 + bits.LeadingZeros64(found)/8; !oddBackslashes(b, i) {
			return t.low + i
		}
	}
	for ; i >= blockSize; i -= blockSize {
		from := i - blockSize
		for quotes, _ := structure((*[blockSize]byte)(b[from:])); quotes != 0; {
			at := bits.Len64(quotes) - 1
			if !oddBackslashes(b, from+at) {
				return t.low + from + at
			}
			quotes &^= 1 << at
		}
	}
	for i > 0 {
		if i--; b[i] == '"' && !oddBackslashes(b, i) {
			return t.low + i
		}
	}
	return -1
}

// valueBack returns the offset of a value that ends at i, if one does.
func (t *Tail) valueBack(i int) int {
	if i <= t.low {
		return -1
	}
	switch b := t.data; b[i-1] {
	case '"':
		return t.stringBack(i)
	case '}', ']':
		return t.nestedBack(i)
	default:
		for i > t.low && inScalar(b[i-1]) {
			i--
		}
		return i
	}
}

// backInto is by how much the nesting is deeper in front of a byte than behind it. (Which
// bracket comes next cannot be foreseen, so there is no branch for it.)
var backInto = [256]int8{'{': -1, '[': -1, '}': 1, ']': 1}

// nestedBack returns the offset of the object or array that ends at i, if one does.
// It goes by blocks, as closesByBlocks does.
func (t *Tail) nestedBack(i int) int {
	b := t.data[t.low:i]
	depth := 0
	inside := uint64(0) // one if the block ends inside a string
	for from := len(b); from > 0; {
		var block *[blockSize]byte
		if from >= blockSize {
			from -= blockSize
			block = (*[blockSize]byte)(b[from:])
		} else {
			var rest [blockSize]byte
			copy(rest[:], b[:from])
			from, block = 0, &rest
		}
		quotes, marks := structure(block)
		for q := quotes & (marks<<1 | 1); q != 0; q &= q - 1 { // there may be backslashes before these
			if at := bits.TrailingZeros64(q); oddBackslashes(b, from+at) {
				quotes &^= 1 << at
			}
		}
		inside ^= uint64(bits.OnesCount64(quotes)) & 1 // now whether it begins inside one
		for m := marks &^ insides(quotes, inside); m != 0; {
			at := bits.Len64(m) - 1
			step := backInto[block[at]]
			if depth += int(step); depth == 0 && step < 0 {
				return t.low + from + at
			}
			m &^= 1 << at
		}
	}
	return -1
}

// inScalar reports whether c may be part of a number or a literal.
func inScalar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}
