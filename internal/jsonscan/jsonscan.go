// Package jsonscan reads JSON text forward, once, without recursion and without
// allocating: what it returns is part of the text, as it stands there. [Text] and
// [AppendText] undo the escapes.
//
// It checks the structure: brackets, commas, colons, literals, numbers and
// nesting are those of RFC 8259, or reading stops and [Cursor.OK] is false.
// Inside a string that is passed over, only its end is looked for, so raw
// control characters, bad escapes and bad UTF-8 go unnoticed there: whoever
// reads a string decides what it may hold.
package jsonscan

import (
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how many objects and arrays may be open at once in a value that
// is skipped, itself among them.
const MaxDepth = 1024

// A Cursor stands before a value, a member or the end of a JSON text. Copy it
// to come back to a place. Once reading has failed, every method reports that
// there is nothing more.
type Cursor struct {
	data  []byte
	pos   int
	first bool // nothing has been read since the bracket was opened
	bad   bool
}

// New returns a Cursor before the value in data.
func New(data []byte) Cursor { return Cursor{data: data} }

// OK reports whether all that was read so far was well-formed.
func (c *Cursor) OK() bool { return !c.bad }

// Pos returns the offset behind what was read last, and behind the white space
// there if it was looked past.
func (c *Cursor) Pos() int { return c.pos }

// End reports whether nothing but white space is left, and all was well.
func (c *Cursor) End() bool { return !c.bad && c.ahead() == len(c.data) }

// ahead goes past white space and returns the offset of what comes next.
func (c *Cursor) ahead() int {
	c.pos = space(c.data, c.pos)
	return c.pos
}

// Kind returns the first byte of the next value: one of {["tfn, a digit or a
// minus. It returns 0 at the end of the text; where no well-formed value comes
// next, it may be any byte.
func (c *Cursor) Kind() byte {
	if c.bad {
		return 0
	}
	b, i := c.data, space(c.data, c.pos)
	c.pos = i
	if i == len(b) {
		return 0
	}
	return b[i]
}

// Object enters the next value if it is an object, and else stays before it.
func (c *Cursor) Object() bool { return c.enter('{') }

// Array enters the next value if it is an array, and else stays before it.
func (c *Cursor) Array() bool { return c.enter('[') }

func (c *Cursor) enter(bracket byte) bool {
	if c.Kind() != bracket {
		return false
	}
	c.pos++
	c.first = true
	return true
}

// Past goes past text if that is what comes next, to the letter, and reports
// whether it does. Before a value, text may be an object or an array, or the start
// of one that ends before a value in it or right behind one. Where Key or Element may
// be called, it may be the closing bracket.
func (c *Cursor) Past(text string) bool {
	if c.bad || len(c.data)-c.pos < len(text) || string(c.data[c.pos:c.pos+len(text)]) != text {
		return false
	}
	c.pos += len(text)
	c.first = false
	return true
}

// Key goes on to the next member of the object that was entered last, and
// returns its name as it stands between its quotes (see [Text]); the Cursor is
// then right before its value, which must be read or skipped. At the end of the
// object it returns false and leaves the object.
func (c *Cursor) Key() ([]byte, bool) {
	b, start := c.data, c.pos
	if !c.bad && !c.first && len(b)-start >= 2 && b[start] == ',' && b[start+1] == '"' {
		start++ // as it mostly is, where nobody has indented the text
	} else {
		if !c.next('}') {
			return nil, false
		}
		start = space(b, c.pos)
		if start == len(b) || b[start] != '"' {
			c.bad = true
			return nil, false
		}
	}
	end := shortStr(b, start+1)
	if end < 0 {
		if end = str(b, start+1); end < 0 {
			c.bad = true
			return nil, false
		}
	}
	i := space(b, end)
	if i == len(b) || b[i] != ':' {
		c.bad = true
		return nil, false
	}
	c.pos = space(b, i+1)
	return b[start+1 : end-1], true
}

// Element goes on to the next element of the array that was entered last; the
// Cursor is then before it, and it must be read or skipped. At the end of the
// array it returns false and leaves the array.
func (c *Cursor) Element() bool { return c.next(']') }

// next reads what is between two members or elements.
func (c *Cursor) next(closing byte) bool {
	first := c.first
	c.first = false
	if c.bad {
		return false
	}
	b, i := c.data, space(c.data, c.pos)
	switch {
	case i == len(b):
	case b[i] == closing:
		c.pos = i + 1
		return false
	case first:
		c.pos = i
		return true
	case b[i] == ',':
		c.pos = i + 1
		return true
	}
	c.bad = true
	return false
}

// Leave goes past what is left of an object or an array, given its closing
// bracket, as [Cursor.Skim] would. It may be called where Key or Element may.
func (c *Cursor) Leave(closing byte) {
	if c.bad {
		return
	}
	c.first = false
	end := closes(c.data, c.pos, closing)
	if end < 0 {
		c.bad = true
		return
	}
	c.pos = end
}

// Skip goes past the next value and returns its text. It returns nil if the
// value is malformed.
func (c *Cursor) Skip() []byte {
	if c.bad {
		return nil
	}
	start := space(c.data, c.pos)
	return c.past(start, skip(c.data, start))
}

// Skim is Skip, many times faster, for where a value need not be read to the
// letter. Of well-formed text it skips the same. In an object or an array it
// checks that brackets match, that strings end, that nesting is no deeper than
// MaxDepth, and that outside of strings there is nothing that is not ASCII and no
// sign from '[' on but letters and the backquote; what else is there it does not
// check. Other values it checks like Skip.
func (c *Cursor) Skim() []byte {
	if c.bad {
		return nil
	}
	start := space(c.data, c.pos)
	return c.past(start, skim(c.data, start))
}

// past goes to the end of a value, -1 if it has none.
func (c *Cursor) past(start, end int) []byte {
	if end < 0 {
		c.bad = true
		return nil
	}
	c.pos = end
	return c.data[start:end]
}

// String goes past the next value like Skim and returns what is between its
// quotes, escapes and all, if it is a string.
func (c *Cursor) String() ([]byte, bool) {
	b, start := c.data, space(c.data, c.pos)
	if c.bad || start >= len(b) || b[start] != '"' {
		c.Skim()
		return nil, false
	}
	raw := c.past(start+1, str(b, start+1))
	if raw == nil {
		return nil, false
	}
	return raw[:len(raw)-1], true
}

// space returns the offset of what comes after white space. Offsets beyond the text
// stay what they are, also the -1 that stands for a mistake.
func space(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return someSpace(b, i)
	}
	return i
}

// someSpace is space where there may well be some. It is mostly one blank, or a
// line feed and blanks.
func someSpace(b []byte, i int) int {
	const spaces uint64 = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'
	for i < len(b) && b[i] <= ' ' && spaces>>b[i]&1 != 0 {
		i++
		if b[i-1] == '\n' {
			for len(b)-i >= 8 && word(b[i:]) == ' '*ones {
				i += 8
			}
		}
	}
	return i
}

// skip returns the offset behind the value that starts at b[i], or -1.
func skip(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return str(b, i+1)
	case '{', '[':
		return skipNested(b, i)
	}
	return scalar(b, i)
}

// skipNested is skip for an object or an array.
func skipNested(b []byte, i int) int {
	var open nesting
	kinds, ok := 2|brace(b[i]), false // kinds in place of open.kinds, which stays unused
	i = space(b, i+1)
	if uint(i) < uint(len(b)) && b[i] == ']'+byte(kinds&1<<5) {
		return i + 1
	}
	for {
		// Before a name and a value, or before a value.
		if kinds&1 != 0 {
			if uint(i) >= uint(len(b)) || b[i] != '"' {
				return -1
			}
			end := shortStr(b, i+1)
			if end < 0 {
				end = str(b, i+1)
			}
			i = space(b, end)
			if uint(i) >= uint(len(b)) || b[i] != ':' {
				return -1
			}
			i = space(b, i+1)
		}
		if uint(i) >= uint(len(b)) {
			return -1
		}
		switch c := b[i]; c {
		case '"':
			end := shortStr(b, i+1)
			if end < 0 {
				end = str(b, i+1)
			}
			i = end
		case '{', '[':
			if kinds = kinds<<1 | brace(c); kinds >= full {
				if kinds, ok = open.spill(kinds); !ok {
					return -1
				}
			}
			i = space(b, i+1)
			if uint(i) >= uint(len(b)) || b[i] != c+2 { // that closes it, in ASCII
				continue
			}
		default:
			i = scalar(b, i)
		}
		// Behind a value, or before the bracket that closes an empty one:
		// close what closes here, and go on to the next value.
		for {
			i = space(b, i)
			if uint(i) >= uint(len(b)) {
				return -1
			}
			if b[i] == ',' {
				break
			}
			if b[i] != ']'+byte(kinds&1<<5) {
				return -1
			}
			i++
			if kinds >>= 1; kinds < 2 {
				if kinds, ok = open.fill(); !ok {
					return i
				}
			}
		}
		i = space(b, i+1)
	}
}

func literal(b []byte, i int, s string) int {
	if len(b)-i < len(s) || string(b[i:i+len(s)]) != s {
		return -1
	}
	return i + len(s)
}

// number returns the offset behind the number that starts at b[i], or -1.
func number(b []byte, i int) int {
	if '1' <= b[i] && b[i] <= '9' {
		// Most are short, without a fraction or an exponent.
		const short = 8
		n := i + 1
		for n < len(b) && n < i+short && '0' <= b[n] && b[n] <= '9' {
			n++
		}
		if n == len(b) || n < i+short && b[n] != '.' && b[n]|0x20 != 'e' {
			return n
		}
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i
}

// digits returns the offset behind the digits that start at b[i], or -1 if
// there are none.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
		if i-start != 4 {
			continue
		}
		// Not a short one: on by words.
		for len(b)-i >= 8 {
			w := word(b[i:]) ^ '0'*ones // 0 to 9 where there is a digit
			if m := (w&^highs + (0x80-10)*ones | w) & highs; m != 0 {
				return i + bits.TrailingZeros64(m)/8
			}
			i += 8
		}
	}
	if i == start {
		return -1
	}
	return i
}

// Text returns the text that raw, the inside of a JSON string, stands for: raw
// itself if it has no escapes, and else what AppendText puts into room.
func Text(raw, room []byte) []byte {
	if backslash(raw) < 0 {
		return raw
	}
	return AppendText(room[:0], raw)
}

// AppendText appends the text that raw, the inside of a JSON string, stands
// for. What is not a valid escape is taken literally; half a surrogate pair
// becomes U+FFFD. The text is never longer than raw.
func AppendText(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw))
	for len(raw) > 0 {
		if raw[0] == '\\' {
			r, n := Escape(raw)
			if n == 0 {
				n = min(2, len(raw))
				dst = append(dst, raw[:n]...)
			} else {
				dst = utf8.AppendRune(dst, r)
			}
			if raw = raw[n:]; r >= utf8.RuneSelf {
				dst, raw = AppendWide(dst, raw)
			}
			continue
		}
		n := backslash(raw)
		if n < 0 {
			n = len(raw)
		}
		for ; 0 < n && n < 8; n-- { // not worth a copy
			dst = append(dst, raw[0])
			raw = raw[1:]
		}
		dst = append(dst, raw[:n]...)
		raw = raw[n:]
	}
	return dst
}

// AppendWide appends the characters at the start of raw that are written \uXXXX, one behind
// the other, up to one that is ASCII or takes a pair of these. It returns what is left of raw.
// Texts in other letters than Latin ones often have nothing else.
func AppendWide(dst, raw []byte) (text, rest []byte) {
	for len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
		r, ok := hex(raw[2], raw[3], raw[4], raw[5])
		switch {
		case !ok || r < utf8.RuneSelf || utf16.IsSurrogate(r):
			return dst, raw
		case r < 0x800: // the last of two bytes in UTF-8
			dst = append(dst, 0xc0|byte(r>>6), 0x80|byte(r&0x3f))
		default:
			dst = append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
		}
		raw = raw[6:]
	}
	return dst, raw
}

// Escape returns the character that the escape at the start of raw stands for, and the
// length of the escape, which is 0 if there is no valid one. Half a surrogate pair is
// one that stands for U+FFFD.
func Escape(raw []byte) (r rune, n int) {
	if len(raw) < 2 || raw[0] != '\\' {
		return 0, 0
	}
	if c := shortEscapes[raw[1]]; c != 0 {
		return rune(c), 2
	}
	r, ok := hex4(raw)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		low, ok := hex4(raw[6:])
		if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
			return r, 12
		}
		r = utf8.RuneError
	}
	return r, 6
}

// shortEscapes are what a byte stands for behind a backslash, or 0.
var shortEscapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// hex4 reads \uXXXX at the start of raw, and reports whether that is there.
func hex4(raw []byte) (r rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	return hex(raw[2], raw[3], raw[4], raw[5])
}

// hex returns the number that four hexadecimal digits stand for, and whether that is what
// they are.
func hex(w, x, y, z byte) (r rune, ok bool) {
	a, b, c, d := hexDigits[w], hexDigits[x], hexDigits[y], hexDigits[z]
	return rune(a&15)<<12 | rune(b&15)<<8 | rune(c&15)<<4 | rune(d&15), a&b&c&d&hexDigit != 0
}

const hexDigit = 16

// hexDigits are the values of the hexadecimal digits, with hexDigit added. Those of all
// other bytes are 0.
var hexDigits = [256]byte{
	'0': 16, '1': 17, '2': 18, '3': 19, '4': 20, '5': 21, '6': 22, '7': 23, '8': 24, '9': 25,
	'a': 26, 'b': 27, 'c': 28, 'd': 29, 'e': 30, 'f': 31,
	'A': 26, 'B': 27, 'C': 28, 'D': 29, 'E': 30, 'F': 31,
}
