package extract

import "github.com/go-affinity/affinity/internal/jsonscan"

// A strip reads values of a body and adds them to a prompt, without what is not part of a
// prompt: markers of caches, ids and states of items, the billing line. Nothing is rewritten:
// the pieces of the body's text between the cuts are added as they are, so a value that has
// nothing to cut costs no more than finding its end.
//
// The text that is left is what a client would have written without the things that were cut
// out: with each member or element goes one comma, and the white space beside that.
type strip struct {
	to    *prompt
	raw   []byte
	c     jsonscan.Cursor // in raw
	start int             // where in raw the messages begin
	done  int             // all before this in raw was added or cut out
	first bool            // this is the first message, or the system prompt: the billing line may be in it
	depth int             // how many values with markers this is in: see value

	// What is known of where raw mentions markers: see mentionsMarker.
	searched int // how far raw was searched
	mention  int // the first mention from the start of the last value that was asked for; searched if there is none
}

func newStrip(to *prompt, raw []byte) strip {
	return strip{to: to, raw: raw, c: jsonscan.New(raw)}
}

// These bound the work on one prompt. No conversation of real clients comes near.
const (
	maxMessages  = 1 << 16
	maxLooks     = 1 << 16 // looks at members and blocks; all text after the last look counts as written
	bytesPerLook = 32      // for each so many bytes, one more look is allowed
	maxPlain     = 8       // members of a marker or a plain text; an object that has more is neither

	// How deep values with markers are looked into, and so how often a text may be read.
	// Clients put markers on messages, blocks and the blocks in the result of a tool.
	maxMarkerDepth = 8
)

// more counts a look, and reports whether there may be one more. That depends only on the text of
// the messages so far, if there is one list of them. So a later turn of the conversation stops at
// the same place, and it makes no difference whether the messages are read within the body or by
// themselves.
func (s *strip) more() bool {
	s.to.looks++
	before := uint(s.c.Pos() - s.start)
	return s.to.looks <= maxLooks+int(before/bytesPerLook)
}

// begin begins a part of the prompt at the offset at; end ends it where the Cursor is. Its kind
// is part of the digest: m for a message, k for what the upstream keeps, t for tools and s for
// a system prompt.
func (s *strip) begin(kind byte, at int) {
	s.to.digest.Write([]byte{0, kind})
	s.done = at
}

// end relies on the Cursor never being before what was cut out, even if it has met a mistake. So
// inside asks the Cursor itself, not a copy, for the start of an element; the start of a member
// it takes before it calls Key.
func (s *strip) end() { s.cut(s.c.Pos(), s.c.Pos()) }

// cut leaves out raw[from:to], and adds what comes before it. Cuts must be made in order.
func (s *strip) cut(from, to int) {
	kept := s.raw[s.done:from]
	s.to.digest.Write(kept)
	s.to.bytes += len(kept)
	s.done = to
}

// messages reads the next value, the messages.
func (s *strip) messages() {
	c := &s.c
	kind := c.Kind()
	s.start = c.Pos()
	switch kind {
	case '[':
		for c.Array(); c.Element(); {
			if s.to.tooMany() {
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

// message reads the next value, a message.
func (s *strip) message() {
	s.c.Kind() // goes past white space
	s.begin('m', s.c.Pos())
	s.first = s.to.messages == 0
	s.inside(aMessage)
	s.end()
	s.to.endMessage()
}

// content reads the next value: the content of a message, the output of an item of the Responses
// API or a system prompt. If it is a list of one plain text, as a string becomes when a client
// moves its marker there, all but the text is cut out. In the first content of a prompt, so
// is the billing line.
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

// text cuts the billing line, if it may be there, out of raw, a text that was skipped and ends at
// the offset end.
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

// value reads the next value and cuts the markers of caches out of it.
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

// mentionsMarker reports whether there may be a marker in raw, the value that begins at start, so
// that the members of most values need not be looked at. It must be called for values in the
// order in which they begin. Before it is called for the values inside another one, it has
// searched that one up to the first mention. So it searches the text only once, however deep it
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

// A compound is the role of an object or an array in the prompt.
type compound uint8

const (
	anyValue compound = iota
	aMessage
	aContent
	aBlock // of content
)

// inside reads the next value, and cuts out of it what is not part of the prompt: from an
// object, members; from an array, the objects that hold nothing but markers or the billing
// line.
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
			c.Kind() // goes past white space, with c itself and not a copy: see end
			start = c.Pos()
			dropped = s.dropsBlock(in, c)
		}
		if dropped {
			switch {
			case gap[0] >= 0:
			case kept:
				gap[0] = keptEnd // cut the comma before it
			default:
				gap[0] = start // cut the comma after it, and keep the white space before it for the next
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

// drops reports whether a member of that name is not part of the prompt.
func (in compound) drops(name []byte) bool {
	if in == aMessage {
		switch string(name) {
		case "id", "status":
			return true
		}
	}
	return cacheMarker(name)
}

// dropsBlock skips the next value, an element of an array, if it is not part of the prompt, and
// reports whether it has.
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

// keep reads the next value, which is part of the prompt: that of a member called name, or an
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

// onlyMarkers skips the next value if it is an object that has nothing but markers, and reports
// whether it is. Otherwise the Cursor may be anywhere.
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

// onlyText skips the next value if it is a list of one block that is nothing but a text, apart
// from what is not part of the prompt. It returns the text with its quotes, and where it
// ends. Otherwise it returns nil, and the Cursor may be anywhere.
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

// blockText skips the next value if it is a block that is nothing but a text, and returns that as
// onlyText does.
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
