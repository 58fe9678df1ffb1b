package jsonscan

import "math/bits"

// A Tail reads the members of an object backwards, from the last one on, and looks at nothing
// before them. By going back it guesses where a member begins, and then checks the member
// by going forward as Skip does. So the text from the member that it has returned last is
// the end of a well-formed object. Only reading the text before that can tell whether the
// whole is one; if it is, the members are those that a Cursor finds.
type Tail struct {
	data []byte
	pos  int  // offset of the comma or brace after the member to be read next
	low  int  // where the window begins: nothing before it is looked at
	bad  bool // a mistake has been met
}

// NewTail returns a Tail after the last member of the object in data. It looks at no
// more than the last window bytes, and at white space at the start of data.
func NewTail(data []byte, window int) Tail {
	t := Tail{data: data, low: max(0, len(data)-window)}
	// Whether the byte after backslashes is escaped depends on how many there are before the
	// window. So the window begins after them: whether that byte is a quote matters only to
	// what is before it.
	for t.low < len(data) && data[t.low] == '\\' {
		t.low++
	}
	t.pos = t.spaceBack(len(data)) - 1
	t.bad = t.pos >= t.low && data[t.pos] != '}'
	return t
}

// OK reports whether no mistake has been met. A member that begins before the window is not a
// mistake.
func (t *Tail) OK() bool { return !t.bad }

// Member goes back by one member and returns its name, as written between its
// quotes, and the text of its value. It returns false at the start of the object, at
// a mistake, and if the member or the comma or brace before it is not all within the
// window.
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
		return nil, nil, false // beyond the window, or the object is empty
	}
	// Going back was a guess at where things begin. Now check it going forward.
	t.bad = b[colon] != ':' || endOfString(b[:nameEnd], start+1) != nameEnd || skip(b[:end], from) != end ||
		b[comma] != ',' && (b[comma] != '{' || space(b, 0) != comma)
	if t.bad {
		return nil, nil, false
	}
	t.pos = comma
	return b[start+1 : nameEnd-1], b[from:end], true
}

// The methods below return an offset before t.low if they would have to go beyond it,
// and also if they are given such an offset. So Member checks only the last one.

// spaceBack returns where the white space begins that ends at i: i itself if there is none.
func (t *Tail) spaceBack(i int) int {
	for i > t.low && space(t.data[:i], i-1) == i {
		i--
	}
	return i
}

// stringBack returns where the string begins that ends at i: the offset of its first
// quote. What it returns if no string ends there means nothing.
func (t *Tail) stringBack(i int) int {
	b := t.data[t.low:]
	i -= t.low + 1
	// Most strings are short, so the last 40 bytes or so are searched by words. A long
	// string mostly begins before the window, so all of the window has to be searched.
	for short := i - 40; i >= 8 && i > short; {
		w := word(b[i-8:i:i]) ^ eightQuotes
		found := ^(w&^highs + ^uint64(highs) | w) & highs // exactly where w has a zero byte
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

// valueBack returns where the value begins that ends at i. What it returns if no value
// ends there means nothing.
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

// backInto tells how much deeper the nesting is before a bracket than after it. It is a
// table, since a branch on which bracket comes next would be hard to predict.
var backInto = [256]int8{'{': -1, '[': -1, '}': 1, ']': 1}

// nestedBack returns where the object or array begins that ends at i. It goes back by
// blocks as endOfNestedByBlocks goes forward, and counts brackets without telling
// their kinds apart, which is left to the check going forward.
func (t *Tail) nestedBack(i int) int {
	b := t.data[t.low:i]
	depth := 0
	inside := uint64(0) // 1 if the text after the block begins inside a string
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
		if quotes&(marks<<1|1) != 0 { // some may have a backslash before them
			quotes, _ = unescaped(b, from, block, quotes)
		}
		inside ^= uint64(bits.OnesCount64(quotes)) & 1 // now 1 if the block begins inside one
		m := marks &^ insides(quotes, inside)
		if depth >= dense && bits.OnesCount64(m) >= dense {
			opens, closes, _ := brackets(block)
			if n := bits.OnesCount64(opens & m); n < depth { // whatever their order, the value does not begin here
				depth += bits.OnesCount64(closes&m) - n
				continue
			}
		}
		for m != 0 {
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
