package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// This file goes on where messages.go has found out who speaks: content, block and text read
// what is said, and read, person and inject add it to the trail.

// images reads a list of images, such as Ollama has beside a text.
func (t *trail) images(raw []byte) {
	c := jsonscan.New(raw)
	for c.Array(); c.Element() && t.more(); {
		t.person(binarySalt, t.value(&c))
	}
}

// content reads the next value, the content of a message: a string, a block, an
// array of both, or a Gemini Content with its parts. The words in it belong to the
// system prompt in, or to a person if that is nil.
func (t *trail) content(c *jsonscan.Cursor, in *systemPrompt) {
	if in == nil {
		t.followed()
	}
	if !c.Array() {
		t.piece(c, in)
		return
	}
	for c.Element() {
		if !t.more() {
			c.Skim()
			c.Leave(']')
			return
		}
		t.piece(c, in)
	}
}

// piece reads the next value, a string or a block of content. Others count for nothing.
func (t *trail) piece(c *jsonscan.Cursor, in *systemPrompt) {
	switch c.Kind() {
	case '"':
		raw, _ := c.String()
		t.text(raw, in)
	case '{':
		t.block(c, in)
	default:
		c.Skim()
	}
}

// block reads the next value, a block of content. A block of a tool or a model counts for
// nothing; a text counts as such; parts count one by one; anything else counts as what a
// person attached, such as an image.
func (t *trail) block(c *jsonscan.Cursor, in *systemPrompt) {
	switch members := c.Rest(); {
	case c.Past(`{"type":"tool_result"`), c.Past(`{"toolResult":`): // Anthropic's, Bedrock's
		t.result(members, nil)
		t.acted = true
		c.Leave('}')
		return
	case c.Past(`{"functionResponse":`): // Gemini's
		t.acted = true
		c.Leave('}')
		return
	}
	whole := *c
	c.Object()
	words, parts, counts := t.inBlock(c, &whole)
	switch {
	case !counts || !c.OK(): // not OK if it is nested too deeply, and then value must not go through it
	case len(words) > 0 && words[0] == '"':
		t.text(words[1:len(words)-1], in)
	case parts != nil && !t.inParts:
		t.inParts = true
		c := jsonscan.New(parts)
		t.content(&c, in)
		t.inParts = false
	case in != nil:
		in.add(t.value(&whole))
	default:
		t.person(binarySalt, t.value(&whole))
	}
}

// inBlock reads the members of a block, and its end; whole is before it. It returns the text and
// the parts, and whether the block counts: it is not of a tool or a model, and has more than a
// type, a role, a signature or a marker.
func (t *trail) inBlock(c, whole *jsonscan.Cursor) (words, parts []byte, counts bool) {
	var room nameRoom
	for {
		name, ok := c.Key()
		if !ok {
			return words, parts, counts
		}
		if !t.moreMembers() {
			c.Skim()
			c.Leave('}')
			return nil, nil, false
		}
		name = room.read(name)
		switch string(name) {
		case "text":
			words, counts = c.Skim(), true
		case "parts":
			parts, counts = c.Skim(), true
		case "type":
			if kind := keyword(c); ofTool(kind) {
				t.acted = true
				if c.Leave('}'); isResult(kind) {
					t.result(whole.Rest(), nil)
				}
				return nil, nil, false
			}
		case "toolResult", "functionResponse", "function_response", "functionCall", "function_call":
			t.acted = true
			c.Skim()
			c.Leave('}')
			if string(name) == "toolResult" {
				t.result(whole.Rest(), nil)
			}
			return nil, nil, false
		case "role":
			c.Skim()
		default:
			c.Skim()
			counts = counts || !comesAndGoes(name)
		}
	}
}

// ofTool reports whether a block of that type is of a tool or of a model.
func ofTool(kind []byte) bool {
	switch string(kind) {
	case "function_call_output", "function_result", "thinking", "redacted_thinking":
		return true
	}
	return bytes.HasSuffix(kind, []byte("tool_result")) || bytes.HasSuffix(kind, []byte("tool_use"))
}

// isResult reports whether a block or an item of that type is a result, and not a call that the
// model has made, such as a web_search_call, or something else.
func isResult(kind []byte) bool {
	return bytes.HasSuffix(kind, []byte("_result")) || bytes.HasSuffix(kind, []byte("_output"))
}

// text adds a text, given as written between its quotes: to the system prompt in, or to the words
// of people if that is nil.
func (t *trail) text(raw []byte, in *systemPrompt) {
	withPlain(raw, func(text []byte, lent bool) {
		if in == nil {
			t.read(text, lent)
			return
		}
		in.read(text, lent)
		if in == &t.systemAmong || t.systemAmong.n == 0 {
			t.keepEnding(text, lent)
		}
	})
}

// read adds a plain text of a person, less what was injected. If it is lent, it must not be kept.
func (t *trail) read(text []byte, lent bool) {
	if t.ignoreRest || t.readBrowserUse(text) || t.anotherSpeaks(text) {
		return
	}
	t.ends.add(text)
	words := t.split(cutRepeated(text, t.ending))
	if len(words) == 0 {
		return
	}
	cue := cueOf(words)
	if cue != nil {
		t.work++ // transcript takes longer than a digest
	}
	if t.texts == 0 && !t.answered {
		talk := words
		if bytes.HasPrefix(cue, []byte("</")) { // it closes the element that the conversation is in: "</history>"
			talk = withoutCue(words)
		}
		if endsInQuestion(talk) {
			t.asked = t.transcript(talk, nil)
		}
	}
	if before := beforeThought(words); len(before) > 0 {
		t.steps.put(step{sum: t.here.add(textSalt, t.wordsSum(before, cueOf(before))), answered: true})
	}
	t.person(textSalt, t.wordsSum(words, cue))
	t.since.bytes = uint8(min(minTail, int(t.since.bytes)+len(words)))
	t.keepLast(words, lent)
}

// wordsSum returns the digest of words and the cue that they end in, or nil.
func (t *trail) wordsSum(words, cue []byte) uint64 {
	if cue != nil {
		return t.transcript(words, cue)
	}
	return xxhash.Sum64(words)
}

// keepLast keeps the last words or, if they are lent, how they open and how they end. It keeps
// more of the end if history may look into it.
func (t *trail) keepLast(words []byte, lent bool) {
	t.last = words
	if lent {
		end := maxLastEnd
		if t.mayBeTalk() {
			end = maxEnding
		}
		opening := words[:min(len(words), maxKept)]
		t.room = append(append(t.room[:0], opening...), words[max(len(opening), len(words)-end):]...)
		t.last = t.room
	}
}

// lastWords returns how the last words open, lastEnd how they end.
func (t *trail) lastWords() []byte { return t.last[:min(len(t.last), maxKept)] }
func (t *trail) lastEnd() []byte   { return t.last[max(0, len(t.last)-maxLastEnd):] }

// person adds the digest of something that a person wrote (textSalt) or attached (binarySalt).
func (t *trail) person(salt, h uint64) {
	if t.ignoreRest {
		return
	}
	if t.texts == 0 && t.greeting != 0 {
		t.injected.sum = t.injected.sum.plus(sum{}.add(textSalt, t.greeting))
	}
	t.calls.atEnd = false
	t.here = t.here.add(salt, h)
	if salt == binarySalt {
		t.since.bytes = min(minTail, t.since.bytes+pictureBytes)
		t.pictures.put(h)
	} else {
		t.lastText, t.pictures.before = h, t.pictures.n
		if t.since.sum == 0 {
			t.firstText = h
		}
	}
	t.since.sum = t.since.sum*31 + h
	t.texts++
	t.textSteps.put(t.here)
}

// inject adds a text that a client injected. Clients move such texts about, so their order makes
// no difference. After the first answer a text is not part of the setting, except that
// one that moves may be the only one to name a place, and one that passes may come before any
// words: some clients have each file that they show answered. It counts as an item, and inject
// returns false if there are too many.
func (t *trail) inject(text []byte, s stay) (more bool) {
	if !t.more() {
		return false
	}
	h := sum{}.add(injectedSalt, xxhash.Sum64(text))
	t.injections++
	t.allInjected = t.allInjected.plus(h)
	in := &t.injected
	switch {
	case !t.answered || t.texts == 0 && s == passes:
		in.sum = in.sum.plus(h)
		in.places.read(text, s.places())
	case s == moves && in.places.n == 0:
		if in.places.read(text, s.places()); in.places.n > 0 {
			in.sum = in.sum.plus(sum{}.join(placeSalt, in.places.sum))
		}
	}
	return true
}
