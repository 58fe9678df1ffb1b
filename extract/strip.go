package extract

import "github.com/go-affinity/affinity/internal/jsonscan"

// A strip goes past values of a body and hands them on to a prompt, less what is no part of a
// prompt: markers of caches, ids and states of items, the billing line. Nothing is
// rewritten: what is handed on are the pieces of the body's text between the cuts, so a
// value that has nothing to cut costs no more than it takes to find its end.
//
// The text that is left is what a client would have written that never had what was cut
// out: each member or element goes with one comma, and with the white space beside that.
type strip struct {
	to    *prompt
	raw   []byte
	c     jsonscan.Cursor // in raw
	start int             // where in raw the messages begin
	done  int             // what stands before this in raw was handed on or cut out
	first bool            // this is the first message, or the system prompt: the billing line may be in it
	depth int             // how many values we are in, as value counts them

	// What is known of where raw mentions markers: see mentionsMarker.
	searched int // up to here
	mention  int // the first mention after what was asked of last; searched if there is none
}

func newStrip(to *prompt, raw []byte) strip {
	return strip{to: to, raw: raw, c: jsonscan.New(raw)}
}

// These bound the work on one prompt. No conversation of real clients comes near.
const (
	maxMessages  = 1 << 16
	maxLooks     = 1 << 16 // at members and blocks, and one more for
	bytesPerLook = 32      // so many bytes; what follows counts as it is written
	maxPlain     = 8       // members of a marker or a plain text; one that has more is neither

	// How often a text may be gone over for markers, once for each value that it is in.
	// Clients put them on messages, blocks and the blocks in the result of a tool.
	maxMarkerDepth = 8
)

// more counts a look, and reports whether there may be one more. That depends only on what
// stands before in the messages, so that a later turn of the conversation looks as far, and
// so does a reader who finds the messages in a body and not by themselves.
func (s *strip) more() bool {
	s.to.looks++
	before := uint(s.c.Pos() - s.start)
	return s.to.looks <= maxLooks+int(before/bytesPerLook)
}

// begin begins a part of the prompt at an offset; its kind is part of the digest. The part
// goes on until end ends it where the Cursor is.
func (s *strip) begin(kind byte, at int) {
	s.to.digest.Write([]byte{0, kind})
	s.done = at
}

// The Cursor is never in front of what was cut out, even where it has met a mistake: inside takes
// the start of an element where the Cursor itself is, and that of a member before Key.
func (s *strip) end() { s.cut(s.c.Pos(), s.c.Pos()) }

// cut leaves out raw[from:to], and hands on what stands in front. Cuts are made in order.
func (s *strip) cut(from, to int) {
	kept := s.raw[s.done:from]
	s.to.digest.Write(kept)
	s.to.bytes += len(kept)
	s.done = to
}

// messages goes past the next value, the messages.
func (s *strip) messages() {
	c := &s.c
	kind := c.Kind()
	s.start = c.Pos()
	switch kind {
	case '[':
		for c.Array(); c.Element(); {
			if s.to.messages > maxMessages {
				c.Skim()
				c.Leave(']')
				return
			}
			s.message()
		}
	case '"', '{':
		s.message()
	default:
		c.Skim()
	}
}

// message goes past the next value, a message.
func (s *strip) message() {
	s.c.Kind() // goes past the white space in front
	s.begin('m', s.c.Pos())
	s.first = s.to.messages == 0
	s.inside(aMessage)
	s.end()
	s.to.endMessage()
}

// content goes past the next value: the content of a message, the output of an item of the Responses
// API or a system prompt. If it is a list of one plain text, as it becomes when a client moves
// its marker there, all but the text is cut out. In the first content of a
// prompt, so is the billing line.
func (s *strip) content() {
	kind, start := s.c.Kind(), s.c.Pos()
	list := s.c
	switch raw, end := s.onlyText(&list); {
	case raw != nil:
		s.cut(start, end-len(raw))
		s.text(raw, end)
		s.c = list
		s.cut(end, s.c.Pos())
	case kind == '[':
		s.inside(aContent)
	case kind == '"':
		raw := s.c.Skim()
		s.text(raw, s.c.Pos())
	default:
		s.value()
	}
}

// text cuts the billing line, if that may be there, out of a text that has been gone past and
// ends at an offset.
func (s *strip) text(raw []byte, end int) {
	if !s.first || len(raw) == 0 {
		return
	}
	raw = raw[1 : len(raw)-1]
	trimmed := trim(raw)
	if _, words := cutBilling(trimmed); len(words) < len(trimmed) {
		wordsEnd := end - len(`"`) - (len(raw) - len(trimEnd(raw)))
		s.cut(end-len(`"`)-len(raw), wordsEnd-len(words))
	}
}

// value goes past the next value and cuts the markers of caches out of it.
func (s *strip) value() {
	ahead := s.c
	raw := ahead.Skim()
	if s.depth == maxMarkerDepth || !s.mentionsMarker(ahead.Pos()-len(raw), raw) {
		s.c = ahead
		return
	}
	s.depth++
	s.inside(anyValue)
	s.depth--
}

// mentionsMarker reports whether there may be a marker in the value that begins at an offset,
// which saves most values a look at their members. It must be called for values in the
// order in which they begin. When it is called for the values inside another one, that one
// has been searched up to its first mention: so the text is gone over once, however deep it
// is nested.
func (s *strip) mentionsMarker(start int, raw []byte) bool {
	if len(raw) == 0 || raw[0] == '"' {
		return false
	}
	end := start + len(raw)
	if s.mention < start || s.mention < end && s.mention == s.searched {
		s.searched = max(s.searched, end)
		s.mention = s.searched
		if i := mention(s.raw[start:s.searched], 3, `"cac`); i >= 0 {
			s.mention = start + i
		}
	}
	return s.mention < end
}

// mentions reports whether one of the words is in raw, as mention looks for them.
func mentions(raw []byte, place int, words ...string) bool { return mention(raw, place, words...) >= 0 }

// mention returns the offset of the first of the words in raw, or -1. They begin with a quote,
// and all have the same byte at that place, one that other names seldom have there.
func mention(raw []byte, place int, words ...string) int {
	for at := 0; ; at++ {
		i := jsonscan.QuoteBefore(raw[at:], place, words[0][place])
		if i < 0 {
			return -1
		}
		at += i
		if begins(raw[at:], words...) {
			return at
		}
	}
}

// A compound is what an object or an array is to the prompt.
type compound uint8

const (
	anyValue compound = iota
	aMessage
	aContent
	aBlock // of content
)

// inside goes past the next value, and cuts out of it what is no part of the prompt: from
// an object, members; from an array, the objects that hold nothing but markers or the
// billing line.
func (s *strip) inside(in compound) {
	c := &s.c
	object := c.Object()
	if !object && !c.Array() {
		c.Skim()
		return
	}
	kept := false                   // something was, so far
	keptEnd := c.Pos()              // where the last of it ends or, at first, the opening bracket
	closing := s.raw[keptEnd-1] + 2 // in ASCII, a closing bracket comes two after the opening one
	gap := [2]int{-1, -1}           // what is to be cut out before the next thing that is kept
	for {
		if !s.more() {
			c.Leave(closing)
			break
		}
		var start int // where this begins
		var name []byte
		var dropped bool
		if object {
			start = s.next()
			var ok bool
			if name, ok = c.Key(); !ok {
				break
			}
			if dropped = in.drops(name); dropped {
				c.Skim()
			}
		} else {
			if !c.Element() {
				break
			}
			c.Kind() // goes past the white space in front, which stays for what is kept; copies of c need not
			start = c.Pos()
			dropped = s.dropsBlock(in, c)
		}
		if dropped {
			switch {
			case gap[0] >= 0:
			case kept:
				gap[0] = keptEnd // the comma in front goes
			default:
				gap[0] = start // the comma after goes, and what stands in front stays for the next
			}
			gap[1] = c.Pos()
			continue
		}
		if gap[0] >= 0 {
			if !kept {
				gap[1] = start
			}
			s.cut(gap[0], gap[1])
			gap[0] = -1
		}
		s.keep(in, name)
		kept, keptEnd = true, c.Pos()
	}
	if gap[0] >= 0 {
		s.cut(gap[0], gap[1])
	}
}

// next returns where the next member of an object begins.
func (s *strip) next() int {
	ahead := s.c
	ahead.Element() // goes past the comma, if there is one
	ahead.Kind()
	return ahead.Pos()
}

// drops reports whether a member of that name is no part of the prompt.
func (in compound) drops(name []byte) bool {
	if in == aMessage {
		switch string(name) {
		case "id", "status":
			return true
		}
	}
	return cacheMarker(name)
}

// dropsBlock goes past the next value, an element of an array, if that is no part of the prompt,
// and reports whether it is so.
func (s *strip) dropsBlock(in compound, c *jsonscan.Cursor) bool {
	ahead := *c
	if onlyMarkers(&ahead) {
		*c = ahead
		return true
	}
	if !s.first || in != aContent {
		return false
	}
	ahead = *c
	raw, _ := blockText(&ahead)
	if raw == nil {
		return false
	}
	billing, rest := cutBilling(raw[1 : len(raw)-1])
	if len(billing) == 0 || len(rest) > 0 {
		return false
	}
	*c = ahead
	return true
}

// keep goes past what is part of the prompt: the value of a member of that name, or an
// element.
func (s *strip) keep(in compound, name []byte) {
	switch {
	case in == aMessage && (string(name) == "content" || string(name) == "output"):
		s.content()
	case in == aContent:
		s.inside(aBlock)
	case in == aBlock && string(name) == "text" && s.c.Kind() == '"':
		raw := s.c.Skim()
		s.text(raw, s.c.Pos())
	default:
		s.value()
	}
}

// onlyMarkers goes past the next value if that is an object that has nothing but markers, and
// reports whether it is. Otherwise the Cursor may be anywhere.
func onlyMarkers(c *jsonscan.Cursor) bool {
	if !c.Object() {
		return false
	}
	for n := range maxPlain {
		name, ok := c.Key()
		if !ok {
			return n > 0
		}
		if !cacheMarker(name) {
			break
		}
		c.Skim()
	}
	return false
}

// onlyText goes past the next value if that is a list of one block that is
// nothing but a text, apart from what is no part of the prompt, and returns the text,
// quotes and all, and where it ends. Otherwise it returns nil, and the Cursor may be
// anywhere.
func (s *strip) onlyText(c *jsonscan.Cursor) (text []byte, end int) {
	for c.Array(); c.Element(); {
		if !s.more() {
			return nil, 0
		}
		if s.dropsBlock(aContent, c) {
			continue
		}
		if text != nil {
			return nil, 0
		}
		if text, end = blockText(c); text == nil {
			return nil, 0
		}
	}
	return text, end
}

// blockText goes past the next value if that is a block that is nothing but a
// text, and returns that as onlyText does.
func blockText(c *jsonscan.Cursor) (text []byte, end int) {
	if !c.Object() {
		return nil, 0
	}
	for n := 0; ; n++ {
		name, ok := c.Key()
		if !ok {
			break
		}
		if n == maxPlain {
			return nil, 0
		}
		raw := c.Skim()
		switch string(name) {
		case "text":
			text, end = raw, c.Pos()
		case "type":
			switch string(raw) {
			case `"text"`, `"input_text"`, `"output_text"`:
			default:
				return nil, 0
			}
		default:
			if !cacheMarker(name) {
				return nil, 0
			}
		}
	}
	if len(text) == 0 || text[0] != '"' {
		return nil, 0
	}
	return text, end
}
