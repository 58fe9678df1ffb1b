package extract

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A Boundary is a place at which the prompt of a request may be cut, so that
// another request shares all that is before it.
type Boundary struct {
	// Hash is over all that is before. It is not keyed: whoever wants to can
	// make two prompts with one Hash, so let no more depend on it than where a
	// request goes.
	Hash uint64

	// Bytes is the size of what is before, as JSON.
	Bytes int
}

const (
	minBoundary   = 4 << 10 // bytes from one boundary to the next
	lastMessages  = 16      // behind which there is a boundary in any case
	maxBoundaries = 1024
	maxMessages   = 1 << 16 // no conversation has so many
	maxLooks      = 1 << 16 // at members and blocks, and one more for
	bytesPerLook  = 32      // so many: the rest counts as it is written
	maxPlain      = 8       // members of a marker or a plain text
)

// Boundaries returns where the prompt may be cut: behind the tools and the
// system prompt that stand beside the messages, behind each of the last 16
// messages, and behind each other one where 4 kB have passed since the boundary
// before. There are at most 1,024, in order.
//
// Two requests whose prompts begin alike have equal boundaries as far as that
// goes, but for those that only the last messages have. A turn of a
// conversation has the end of the turn before among its own, unless more than
// 16 messages have come in between. The prompt is all
// that an upstream computes and keeps for the next request: tools, system,
// roles, texts, calls of tools and their results. The markers of caches
// (cache_control, cachePoint), ids and states of the items of the Responses API
// and the billing line of Claude Code are no part of it, and a content of one
// plain text block is that text; everything else counts as it is written,
// white space and escapes included, since clients write what they repeat as they
// wrote it before. So does all that is behind the first 65,536 members and blocks
// and one more for each 32 bytes, which hardly a conversation has. Neither the
// model nor [Request.Scope] is in the hash.
//
// It is nil for a body that has no messages, more than 65,536 of them, or only
// those that go on from state on the server; a legacy prompt has none either.
// The slice is worked out once per request, in time linear in the body, and
// shared: do not change it.
func (r *Request) Boundaries() []Boundary {
	if len(r.Body) == 0 {
		return nil
	}
	if b := r.cuts.Load(); b != nil {
		return *b
	}
	b := r.boundaries()
	r.cuts.CompareAndSwap(nil, &b)
	return *r.cuts.Load()
}

func (r *Request) boundaries() []Boundary {
	p := r.readPrompt()
	if !r.read() || r.delta() {
		return nil
	}
	if p == nil {
		raw := r.messages()
		if raw == nil {
			return nil
		}
		s := newStrip(newPrompt(), raw)
		s.messages()
		p = s.to
	}
	if p.messages == 0 || p.messages > maxMessages {
		return nil
	}
	return p.behind(r.front())
}

// messages returns the text of the messages, or nil.
func (r *Request) messages() []byte {
	for _, f := range messageFields {
		if raw := r.list(f); hasMessages(raw) {
			return raw
		}
	}
	return nil
}

// list returns the text of one of the messageFields, or nil. An input that has the
// messages inside is not one itself.
func (r *Request) list(f field) []byte {
	raw := r.get(f)
	if f == inputField && raw != nil && r.index.present.has(inputMessagesField) {
		return nil
	}
	return raw
}

// front returns what stands before the messages: the tools and the system prompt.
func (r *Request) front() *prompt {
	p := newPrompt()
	for _, f := range toolFields {
		if raw := r.get(f); raw != nil {
			s := newStrip(p, raw)
			s.begin('t', 0)
			s.value()
			s.end()
		}
	}
	for _, f := range systemFields {
		if raw := r.get(f); raw != nil {
			s := newStrip(p, raw)
			s.begin('s', 0)
			s.first = true
			s.content()
			s.end()
		}
	}
	return p
}

// hasMessages reports whether a value is a message or a list with something in
// it.
func hasMessages(raw []byte) bool {
	c := jsonscan.New(raw)
	switch c.Kind() {
	case '"', '{':
		return true
	case '[':
		return c.Array() && c.Element()
	}
	return false
}

// A prompt collects what a request has before the place that has been reached: of
// its messages, or of what stands before these.
type prompt struct {
	digest     xxhash.Digest
	bytes      int
	boundaries []Boundary // those that later requests have as well
	messages   int
	looks      int                    // at members and blocks
	recent     [lastMessages]Boundary // behind the last messages, a ring
}

func newPrompt() *prompt {
	var p prompt
	p.digest.Reset()
	return &p
}

// boundary notes that the prompt may be cut here, behind a message.
func (p *prompt) boundary() {
	b := Boundary{p.digest.Sum64(), p.bytes}
	p.recent[p.messages%lastMessages] = b
	p.messages++
	last := 0
	if n := len(p.boundaries); n > 0 {
		last = p.boundaries[n-1].Bytes
	}
	if p.bytes-last >= minBoundary && len(p.boundaries) < maxBoundaries-lastMessages {
		p.boundaries = append(p.boundaries, b)
	}
}

// behind returns the boundaries of a request with those messages behind a front.
func (p *prompt) behind(front *prompt) []Boundary {
	start := Boundary{front.digest.Sum64(), front.bytes}
	all := make([]Boundary, 0, 1+len(p.boundaries)+lastMessages)
	if start.Bytes > 0 {
		all = append(all, start)
	}
	add := func(b Boundary) {
		h := sum{start.Hash}.add(endSalt, b.Hash)[0]
		all = append(all, Boundary{h, start.Bytes + b.Bytes})
	}
	for _, b := range p.boundaries[:min(len(p.boundaries), maxBoundaries-lastMessages-len(all))] {
		add(b)
	}
	for i := max(p.messages-lastMessages, 0); i < p.messages; i++ {
		add(p.recent[i%lastMessages])
	}
	slices.SortStableFunc(all, func(a, b Boundary) int { return a.Bytes - b.Bytes })
	return slices.CompactFunc(all, func(a, b Boundary) bool { return a.Bytes == b.Bytes })
}

// A strip hands the parts of a text on to a prompt, less what is cut out of them.
// Nothing is written anew: what has nothing to cut is handed on as it is.
type strip struct {
	to    *prompt
	raw   []byte
	c     jsonscan.Cursor // in raw
	start int             // where the text that is handed on begins in raw
	done  int             // what is before was handed on or cut out
	first bool            // of its kind: the billing line may be in its texts
	depth int             // of the value at hand
}

func newStrip(to *prompt, raw []byte) strip {
	return strip{to: to, raw: raw, c: jsonscan.New(raw)}
}

// maxMarkerDepth bounds how often a text is gone over: for each value that it is
// in. Clients put markers on messages, blocks and the blocks in the result of a
// tool.
const maxMarkerDepth = 8

// begin begins a part of the prompt of some kind at an offset, and end ends it
// where the Cursor is.
func (s *strip) begin(kind byte, at int) {
	s.to.digest.Write([]byte{0, kind})
	s.done = at
}

func (s *strip) end() { s.cut(s.c.Pos(), s.c.Pos()) }

// cut leaves out raw[from:to]. Cuts are made in order.
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
	s.c.Kind() // stands before it
	s.begin('m', s.c.Pos())
	s.first = s.to.messages == 0
	s.list(inMessages)
	s.end()
	s.to.boundary()
}

// more counts a look, and reports whether there may be one more. That depends only on what
// stands before in the messages, so that a later turn of the conversation looks as far, and
// so does a reader who finds the messages in a body and not by themselves.
func (s *strip) more() bool {
	s.to.looks++
	return s.to.looks <= maxLooks+(s.c.Pos()-s.start)/bytesPerLook
}

// value goes past the next value and cuts the markers of caches out of it.
func (s *strip) value() {
	ahead := s.c
	raw := ahead.Skim()
	if s.depth == maxMarkerDepth || !mentionsMarker(raw) {
		s.c = ahead
		return
	}
	s.depth++
	s.list(anywhere)
	s.depth--
}

// mentionsMarker saves most values a look for markers in them.
func mentionsMarker(raw []byte) bool {
	return len(raw) > 0 && raw[0] != '"' && mentions(raw, 3, `"cac`)
}

// mentions reports whether one of the words is in raw. They begin with a quote, and all have
// the same byte at a place, one that other names seldom have there.
func mentions(raw []byte, place int, words ...string) bool {
	for {
		i := jsonscan.QuoteBefore(raw, place, words[0][place])
		if i < 0 {
			return false
		}
		raw = raw[i:]
		for _, w := range words {
			if len(raw) >= len(w) && string(raw[:len(w)]) == w {
				return true
			}
		}
		raw = raw[1:]
	}
}

// A place is what a list is.
type place uint8

const (
	anywhere place = iota
	inMessages
	inContent
	inBlock // of content
)

// drops reports whether a member of that name is no part of the prompt.
func (p place) drops(name []byte) bool {
	if p == inMessages {
		switch string(name) {
		case "id", "status":
			return true
		}
	}
	return cacheMarker(name)
}

// keep goes past what is part of the prompt: the value of a member of that name,
// or an element.
func (s *strip) keep(in place, name []byte) {
	switch {
	case in == inMessages && string(name) == "content":
		s.content()
	case in == inContent:
		s.list(inBlock)
	case in == inBlock && s.first && string(name) == "text":
		raw := s.c.Skim()
		s.text(raw, s.c.Pos())
	default:
		s.value()
	}
}

// list goes past the next value. If it is an object, the members that are no part
// of the prompt are cut out, if it is an array, the objects in it that have none
// but ephemeral members; and one comma with each, so that what is left is what a
// client writes that never had them.
func (s *strip) list(in place) {
	c := &s.c
	object := c.Object()
	if !object && !c.Array() {
		c.Skim()
		return
	}
	kept := false                  // something in front
	behind := c.Pos()              // what is in front
	closing := s.raw[behind-1] + 2 // in ASCII
	var room nameRoom
	gap := [2]int{-1, -1} // what is to be cut out
	for {
		if !s.more() {
			c.Leave(closing)
			break
		}
		var name []byte
		var dropped, ok bool
		start := s.next()
		if object {
			if name, ok = c.Key(); !ok {
				break
			}
			name = room.read(name)
			dropped = in.drops(name)
		} else {
			if !c.Element() {
				break
			}
			dropped = c.Kind() == '{' && s.dropsBlock(in, *c)
		}
		if dropped {
			c.Skim()
			switch {
			case gap[0] >= 0:
			case kept:
				gap[0] = behind
			default:
				gap[0] = start // what is in front of it is in front of the next
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
		kept, behind = true, c.Pos()
	}
	if gap[0] >= 0 {
		s.cut(gap[0], gap[1])
	}
}

// next returns where the next member or element begins.
func (s *strip) next() int {
	if s.c.Kind() != ',' {
		return s.c.Pos()
	}
	i := s.c.Pos() + 1
	for i < len(s.raw) && (s.raw[i] == ' ' || s.raw[i] == '\n' || s.raw[i] == '\r' || s.raw[i] == '\t') {
		i++
	}
	return i
}

// dropsBlock reports whether the next value, an element of the list, is no part of
// the prompt.
func (s *strip) dropsBlock(in place, c jsonscan.Cursor) bool {
	if onlyMarkers(c) {
		return true
	}
	if !s.first || in != inContent {
		return false
	}
	raw, _ := blockText(&c)
	if raw == nil {
		return false
	}
	raw = trim(raw[1 : len(raw)-1])
	return len(raw) > 0 && len(withoutBilling(raw)) == 0
}

// onlyMarkers reports whether the next value is an object of ephemeral members.
func onlyMarkers(c jsonscan.Cursor) bool {
	if !c.Object() {
		return false
	}
	var room nameRoom
	for n := range maxPlain {
		name, ok := c.Key()
		if !ok {
			return n > 0
		}
		if !cacheMarker(room.read(name)) {
			break
		}
		c.Skim()
	}
	return false
}

// content goes past the next value: the content of a message or a system
// prompt. If it is a list of one plain text, as it becomes when a client moves
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
		s.list(inContent)
	case kind == '"':
		raw := s.c.Skim()
		s.text(raw, s.c.Pos())
	default:
		s.value()
	}
}

// text cuts the billing line, if that may be there, out of a text that ends at an
// offset. It is that of a JSON value, so maybe none.
func (s *strip) text(raw []byte, end int) {
	if !s.first || len(raw) == 0 || raw[0] != '"' {
		return
	}
	raw = raw[1 : len(raw)-1]
	trimmed := trim(raw)
	if words := withoutBilling(trimmed); len(words) < len(trimmed) {
		behind := end - len(`"`) - (len(raw) - len(trimEnd(raw)))
		s.cut(end-len(`"`)-len(raw), behind-len(words))
	}
}

// onlyText goes past the next value if that is a list of one block that is
// nothing but a text, beside what is no part of the prompt, and returns the text,
// quotes and all, and where it ends. Else it returns nil.
func (s *strip) onlyText(c *jsonscan.Cursor) (text []byte, end int) {
	if !c.Array() {
		return nil, 0
	}
	for c.Element() {
		if !s.more() {
			return nil, 0
		}
		if s.dropsBlock(inContent, *c) {
			c.Skim()
			continue
		}
		if text != nil {
			return nil, 0
		}
		if text, end = blockText(c); text == nil {
			return nil, 0
		}
	}
	if !c.OK() {
		return nil, 0
	}
	return text, end
}

// blockText goes past the next value if that is a block that is nothing but a
// text, and returns that as onlyText does.
func blockText(c *jsonscan.Cursor) (text []byte, end int) {
	if !c.Object() {
		return nil, 0
	}
	var room nameRoom
	for n := 0; ; n++ {
		name, ok := c.Key()
		if !ok {
			break
		}
		if n == maxPlain {
			return nil, 0
		}
		raw := c.Skim()
		switch name = room.read(name); string(name) {
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
	if len(text) == 0 || text[0] != '"' || !c.OK() {
		return nil, 0
	}
	return text, end
}
