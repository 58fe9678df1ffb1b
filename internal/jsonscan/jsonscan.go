// Package jsonscan reads JSON text without recursion and without allocating: what
// it returns is part of the text as written, escapes included. [Text] and
// [AppendText] undo the escapes, [AppendPlain] writes them in the shortest way.
//
// A [Cursor] reads forward. A [Tail] reads the members of an object from the last
// one back.
//
// The structure is checked: brackets, commas, colons, literals, numbers and
// nesting are those of RFC 8259, or reading stops and [Cursor.OK] is false
// ([Cursor.Skim] and [Cursor.Leave] check less). The insides of strings are not
// checked: raw control characters, bad escapes and bad UTF-8 go unnoticed. Whoever
// uses a string decides what it may hold.
package jsonscan

// How the files divide the work, and what holds each of them to its promise:
//
//	jsonscan.go  Cursor, the reader that goes forward
//	skip.go      Skip, which checks everything but the insides of strings;
//	             FuzzSkip compares it with encoding/json
//	skim.go      Skim and Leave, which look at brackets and strings only, 64
//	             bytes at a time; FuzzSkim and TestSkimAgainstReference compare
//	             them with a reader that goes byte by byte
//	tail.go      Tail, the reader that goes back; FuzzTail and TestTail compare
//	             it with reading forward
//	string.go    finds where a string ends; tested through Skip and Skim
//	nesting.go   the open brackets, one bit for each; tested through Skip and
//	             Skim (TestSkimAtEveryDepth)
//	text.go      undoes escapes; FuzzText compares it with encoding/json and
//	             with a plain implementation (fuzz_test.go)
//	plain.go     writes escapes in the shortest way; plain_test.go compares it with
//	             one that goes byte by byte
//	search.go    finds bytes and pairs of bytes, mostly for other packages; tested in
//	             block_test.go
//	block.go     what is done to 8 or 64 bytes at once, and the contracts of the
//	             functions that are in assembly for amd64 with AVX2 (block_amd64.s) and
//	             in Go for all else (block_words.go); block_test.go tests both
//
// Throughout, b is the text, i an offset in it, and a function that returns
// where something ends returns the offset right after it, or -1 if it is
// malformed. Offsets of -1 may be passed to space, which returns them, so that a
// caller need not check each step.

// MaxDepth is how many objects and arrays may be open at once in a value that
// is skipped or skimmed, the value itself included. Entering them one by one
// (Object, Array) has no limit.
const MaxDepth = 1024

// A Cursor is before a value, a member, an element or the end of a JSON text.
// Copy it to come back to a place. Once it has met a mistake, OK is false and
// every other method reports that there is nothing more.
//
// It does not remember which brackets it has entered: the caller must call Key in an
// object and Element in an array, and finish the innermost one first.
type Cursor struct {
	data  []byte
	pos   int
	first bool // an object or array has just been entered: no comma comes next
	bad   bool // a mistake has been met
}

// New returns a Cursor before the value in data.
func New(data []byte) Cursor { return Cursor{data: data} }

// OK reports whether no mistake has been met so far.
func (c *Cursor) OK() bool { return !c.bad }

// Pos returns the offset of the Cursor: right after what was read last or, if a
// method has looked ahead, after the white space that follows.
func (c *Cursor) Pos() int { return c.pos }

// End reports whether no mistake has been met and nothing but white space is left.
func (c *Cursor) End() bool {
	if c.bad {
		return false
	}
	c.pos = space(c.data, c.pos)
	return c.pos == len(c.data)
}

// Kind goes past white space and returns the byte that comes next. Before a
// well-formed value that is one of {["tfn, a digit or a minus. It is 0 at the end of
// the text and after a mistake, but a malformed text may hold any byte, even 0: only
// End tells where the text ends.
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

// Object enters the next value if it is an object, and otherwise stays before it.
func (c *Cursor) Object() bool { return c.enter('{') }

// Array enters the next value if it is an array, and otherwise stays before it. There,
// Element finds nothing, and takes the value for a mistake.
func (c *Cursor) Array() bool { return c.enter('[') }

func (c *Cursor) enter(bracket byte) bool {
	if c.Kind() != bracket {
		return false
	}
	c.pos++
	c.first = true
	return true
}

// Past goes past text if the next bytes are exactly that, and reports whether they
// are; if not, the Cursor stays where it is. It is for texts that a caller expects
// to the letter, and saves reading them member by member. Nothing is checked: it is up
// to the caller that text leaves the Cursor before a value, or where Key or Element
// may be called, but not right after an opening bracket: a comma has to come next.
func (c *Cursor) Past(text string) bool {
	if c.bad || len(c.data)-c.pos < len(text) || string(c.data[c.pos:c.pos+len(text)]) != text {
		return false
	}
	c.pos += len(text)
	c.first = false
	return true
}

// Key goes on to the next member of the innermost object and returns its name as
// written between its quotes (see [Text]). The Cursor is then right before the
// member's value, which must be read or skipped before the next call. At the end
// of the object Key returns false and leaves the object.
func (c *Cursor) Key() ([]byte, bool) {
	b, start := c.data, c.pos
	if !c.bad && !c.first && len(b)-start >= 2 && b[start] == ',' && b[start+1] == '"' {
		start++ // the common case: not the first member, and no white space
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
	end := endOfString(b, start+1)
	if end < 0 {
		c.bad = true
		return nil, false
	}
	i := space(b, end)
	if i == len(b) || b[i] != ':' {
		c.bad = true
		return nil, false
	}
	c.pos = space(b, i+1)
	return b[start+1 : end-1], true
}

// Element goes on to the next element of the innermost array. The Cursor is then
// before that element, which must be read or skipped before the next call. At the
// end of the array Element returns false and leaves the array.
func (c *Cursor) Element() bool { return c.next(']') }

// next reads what separates two members or elements. It returns true if another one
// must follow, which it does not check, and false if it has read the closing bracket
// or met a mistake.
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

// Leave goes past the rest of the innermost object or array, including its closing
// bracket, which is given. It checks as little as [Cursor.Skim]. It may be called
// where Key or Element may.
func (c *Cursor) Leave(closing byte) {
	if c.bad {
		return
	}
	c.first = false
	end := endOfNested(c.data, c.pos, closing)
	if end < 0 {
		c.bad = true
		return
	}
	c.pos = end
}

// Skip goes past the next value and returns its text, or nil if the value is
// malformed. Everything but the insides of strings is checked.
func (c *Cursor) Skip() []byte {
	if c.bad {
		return nil
	}
	start := space(c.data, c.pos)
	return c.advance(start, skip(c.data, start))
}

// Skim is like Skip but checks less and is many times faster. Both go past a
// well-formed value alike. A string, number or literal is checked as by Skip. Inside
// an object or an array only this is checked: brackets match, strings end, nesting is
// no deeper than MaxDepth, and outside of strings there is no byte beyond ASCII and
// none of \ ^ _ | ~ and DEL. (The latter are what the search for brackets finds as
// well.)
func (c *Cursor) Skim() []byte {
	if c.bad {
		return nil
	}
	start := space(c.data, c.pos)
	return c.advance(start, skim(c.data, start))
}

// advance returns the text of the value from start to end and moves past it. If end
// is -1, the value is malformed.
func (c *Cursor) advance(start, end int) []byte {
	if end < 0 {
		c.bad = true
		return nil
	}
	c.pos = end
	return c.data[start:end]
}

// Rest returns the text from the Cursor on.
func (c *Cursor) Rest() []byte { return c.data[c.pos:] }

// String goes past the next value. If that is a string, it returns what is between
// the quotes, escapes and all; any other value is skimmed, and String returns false.
func (c *Cursor) String() ([]byte, bool) {
	b, start := c.data, space(c.data, c.pos)
	if c.bad || start >= len(b) || b[start] != '"' {
		c.Skim()
		return nil, false
	}
	raw := c.advance(start+1, endOfString(b, start+1))
	if raw == nil {
		return nil, false
	}
	return raw[:len(raw)-1], true
}
