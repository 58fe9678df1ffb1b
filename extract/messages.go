package extract

import "github.com/go-affinity/affinity/internal/jsonscan"

// This file has the walk of a trail through the messages: messages, message, messageObject and
// messageMembers find out who speaks. content.go reads what is said. The walk is hot: trail.go
// says why, and which tests go with it.
//
// To read another wire format, add
//   - where it has its messages and its system prompt to messageFields and systemFields
//     (parts.go), unless readLegacy asks for a member of that name, which would then count twice;
//   - what messages call their role and content to messageMembers, and their roles to speakerOf
//     (speakers.go);
//   - what blocks call a text, and which blocks are nobody's words, to inBlock (content.go);
//   - the format to wireFormats (wire_test.go), which many tests go through.

// readMessages reads the messages: of several lists in the body, the first
// that has what a person wrote.
func (t *trail) readMessages(r *Request) {
	for _, f := range messageFields {
		if raw := r.list(f); raw != nil {
			c := jsonscan.New(raw)
			t.messages(&c)
			if !c.OK() {
				t.giveUp()
				return
			}
			if !t.silent() {
				return
			}
		}
	}
}

// readRest reads what is beside the messages, once these have been read. They are read again,
// from scratch, if any words in them may repeat the end of a system prompt that was not known
// before, unless they are too many for that.
func (t *trail) readRest(r *Request) {
	known := len(t.ending) > 0
	t.readSystem(r)
	if !known && t.ends.mayHave(t.ending) && (t.openingOnly || t.work <= maxWork/2) {
		*t = trail{work: t.work, openingOnly: t.openingOnly, careful: t.careful, system: t.system, ending: t.ending, endingRoom: t.endingRoom}
		t.readMessages(r)
	}
}

// messages reads the next value: an array of messages, a single one, or a string.
// At most maxItems messages are looked at: the rest costs no more than it takes to
// find the end.
func (t *trail) messages(c *jsonscan.Cursor) {
	if !c.Array() {
		t.message(c)
		return
	}
	for c.Element() {
		if !t.more() {
			c.Skim()
			c.Leave(']')
			return
		}
		switch t.message(c); {
		case t.answered && t.openingOnly:
			return
		case t.unsure && !t.careful: // everything will be read again
			c.Leave(']')
			return
		}
	}
}

// message reads the next message.
func (t *trail) message(c *jsonscan.Cursor) {
	before := t.textSteps.n
	t.textSteps.n, t.ignoreRest = 0, false
	switch c.Kind() {
	case '"':
		t.content(c, nil)
		t.endMessage()
	case '{':
		t.messageObject(c)
	default:
		c.Skim()
	}
	if t.endsInAnswer {
		t.textSteps.n = before // this was no message of a person: they are still those of the last one
	} else {
		t.greeting = 0 // it counts only for the message right after it
	}
}

// messageObject reads the next message, which is an object. Most begin in one of a few ways, to
// the letter or, as Python writes JSON, with spaces; these are read without looking at each
// member.
func (t *trail) messageObject(c *jsonscan.Cursor) {
	whole := *c
	switch {
	case t.careful:
	case c.Past(`{"role":`), c.Past(`{"type":"message","role":`):
		if t.roleFirst(c, &whole) {
			return
		}
		*c = whole
	case c.Past(`{"parts":[{"functionResponse":`): // Gemini's
		if t.onlyResults(c, nil, `,{"functionResponse":`) {
			return
		}
		*c = whole
	case c.Past(`{"content":[{"toolResult":`): // Bedrock's, by clients that sort members
		if t.onlyResults(c, whole.Rest()[len(`{"content":[`):], `,{"toolResult":`) {
			return
		}
		*c = whole
	case c.Past(`{"parts":`): // Google's clients
		if raw := c.Skim(); !t.roleAfter(c, raw) {
			t.messageMembers(c, &message{whole: whole, parts: raw})
		}
		return
	case c.Past(`{"content":`): // those that sort members
		if raw := c.Skim(); !t.roleAfter(c, raw) {
			t.messageMembers(c, &message{whole: whole, content: raw})
		}
		return
	}
	c.Object()
	t.messageMembers(c, &message{whole: whole})
}

// roleFirst reads the rest of a message, from the value of its role on, if it has the usual form,
// and reports whether it has. Otherwise the Cursor may be anywhere.
func (t *trail) roleFirst(c, whole *jsonscan.Cursor) bool {
	inParts := false
	if !c.Past(`"user","content":`) {
		c.Past(` `)
		if !c.Past(`"user",`) {
			return t.pastOthers(c, whole, nil)
		}
		c.Past(` `)
		if inParts = c.Past(`"parts":`); !inParts && !c.Past(`"content":`) {
			return false
		}
	}
	if c.Kind() == 'n' { // where it is null, the content may be another member
		return false
	}
	if t.content(c, nil); c.Past(`}`) {
		t.endMessage()
		return true
	}
	t.messageMembers(c, &message{whole: *whole, role: roleUser, done: true, inParts: inParts})
	return true
}

// roleAfter is roleFirst for a message of which the content, raw, comes before the role and has
// been skipped. If it returns false, the Cursor stays where it is.
func (t *trail) roleAfter(c *jsonscan.Cursor, raw []byte) bool {
	t.work++ // as in messageMembers
	content, after := jsonscan.New(raw), *c
	switch {
	case !c.Past(`,"role":`) && !c.Past(`, "role": `):
	case c.Past(`"user"}`):
		t.work++ // it was skipped before
		t.content(&content, nil)
		t.endMessage()
		return true
	case t.pastOthers(c, &after, raw):
		return true
	}
	*c = after
	return false
}

// onlyResults reads a message that has nothing but results of tools before its role, from inside
// the first of them on, and reports whether it is one: results may be long, and should not be read
// twice, as they would if they were skipped first to get at the role. Otherwise the Cursor may be
// anywhere. Each result but the first begins with next. first is for result, or nil if these
// results are not for that.
func (t *trail) onlyResults(c *jsonscan.Cursor, first []byte, next string) bool {
	last := first
	for t.more() {
		c.Leave('}')
		rest := c.Rest()
		if !c.Past(next) {
			break
		}
		last = rest[len(","):]
	}
	if !c.Past(`],"role":"user"}`) {
		return false
	}
	t.followed()
	if t.acted = true; first != nil { // those in between do not count
		t.result(first, nil)
		t.result(last, nil)
	}
	t.endMessage()
	return true
}

// pastOthers reads the rest of a message, from the value of its role on, if it is of a tool
// or of a model and its words count for nothing, and reports whether it is so. Otherwise the
// Cursor stays where it is. members and content are for result.
func (t *trail) pastOthers(c, members *jsonscan.Cursor, content []byte) bool {
	switch {
	case c.Past(`"tool"`):
		t.speaks(speakerTool)
		t.result(members.Rest(), content)
	case !t.mayGreet() && (c.Past(`"assistant"`) || c.Past(`"model"`)):
		t.speaks(speakerModel)
	default:
		return false
	}
	c.Leave('}')
	return true
}

var roleUser = []byte("user") // a variable, so that it is not allocated for each message

// A message is what is known of one whose members are being read.
type message struct {
	whole      jsonscan.Cursor // before it
	role, kind []byte          // what is between their quotes
	who        speaker         // according to these two
	content    []byte          // if it is yet to be read
	parts      []byte          // the same for a content with another name
	done       bool            // the content was read, or counts for nothing
	inParts    bool            // what was read is parts, which do not count if there is a content
}

// messageMembers reads the members of a message, and its end: all of them, or those that follow
// what is known of it.
func (t *trail) messageMembers(c *jsonscan.Cursor, m *message) {
	var images []byte
	m.who = speakerOf(m.role, m.kind)
	var room nameRoom
	for {
		name, ok := c.Key()
		if !ok {
			break
		}
		if !t.moreMembers() {
			c.Skim()
			c.Leave('}')
			return
		}
		switch string(room.read(name)) {
		case "role":
			t.unsure = t.unsure || m.role != nil
			m.role = keyword(c)
			m.who = speakerOf(m.role, m.kind)
			if !t.careful && (m.who == speakerTool || m.who == speakerModel && !t.mayGreet()) {
				c.Leave('}')
				t.speaks(m.who)
				if m.who == speakerTool {
					t.result(m.whole.Rest(), nil)
				}
				return
			}
		case "type":
			m.kind = keyword(c)
			m.who = speakerOf(m.role, m.kind)
		case "content":
			t.contentOf(m, c, &m.content)
		case "parts", "message": // Gemini, Cohere before v2
			if m.content != nil || m.done && !m.inParts { // they count if the content is null, if at all
				m.parts = c.Skim()
				break
			}
			t.contentOf(m, c, &m.parts)
			m.inParts = m.done
		case "images":
			images = c.Skim()
		default:
			c.Skim()
		}
	}
	if m.parts != nil && (m.content == nil || string(m.content) == "null") {
		m.content = m.parts
	}
	t.take(m, images)
}

// contentOf reads the next value, the content of a message. If the role has come before it,
// as it mostly does, the content is added to the trail at once. That cannot be undone: if a
// later member contradicts it, t.unsure is set. If the role comes later, and in a careful
// reading, the content is kept in *kept until the message has ended.
func (t *trail) contentOf(m *message, c *jsonscan.Cursor, kept *[]byte) {
	switch {
	case m.done: // a second content
		t.unsure = true
		c.Skim()
		return
	case t.careful || len(m.role) == 0 || c.Kind() == 'n' || m.who == speakerModel: // null may give way to parts
		*kept = c.Skim()
		return
	case m.who == speakerPerson:
		t.content(c, nil)
	case m.who == speakerSystem:
		t.systemSays(c)
	default:
		c.Skim()
	}
	m.done = true
}

// take adds a message that has been read to its end, except for its content if that is done.
func (t *trail) take(m *message, images []byte) {
	content := jsonscan.New(m.content)
	if m.who == speakerModel && t.mayGreet() {
		t.greetings(&content)
	}
	t.speaks(m.who)
	if m.who == speakerTool && (len(m.role) > 0 || isResult(m.kind)) {
		t.result(m.whole.Rest(), nil)
	}
	t.compacts = t.compacts || string(m.kind) == "compaction_trigger"
	t.tools = t.tools || string(m.kind) == "additional_tools"
	switch {
	case m.who == speakerSystem && !m.done:
		t.systemSays(&content)
	case m.who == speakerPerson:
		compacted := isCompacted(m.kind)
		if compacted && m.done { // it is an answer first, but its content was added before that
			t.unsure = true
		}
		if compacted && t.texts > 0 { // the model has written it, as an answer to what was said before
			t.speaks(speakerModel)
			if t.openingOnly {
				return
			}
		}
		t.followed()
		switch {
		case m.done:
		case m.content == nil: // an item that is a piece of content itself
			t.block(&m.whole, nil)
		default:
			t.work++ // it was skipped before
			t.content(&content, nil)
		}
		if images != nil {
			t.images(images)
		}
		if compacted { // unlike other texts, no other conversation has it
			t.since.bytes = minTail
		}
		t.endMessage()
	}
}

// endMessage notes that a message of a person ends here, unless it added nothing.
func (t *trail) endMessage() {
	if t.texts > 0 {
		t.putStep()
	}
}
