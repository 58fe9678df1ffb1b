package extract

import (
	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// What a model says counts only before the first words of a person: it may be a greeting, or stand
// for all that was said before. After such words a summary need not count, and must not: earlier
// requests had the same words without it.

// mayGreet reports whether what a model says next counts. (To Opening, which ends there, it is only
// the first answer.)
func (t *trail) mayGreet() bool { return t.texts == 0 && !t.openingOnly }

// greetings reads the content of a message of a model before the first words. Blocks of the type
// compaction, which Anthropic has models write, count as words: clients leave out what comes
// before them. Texts may become part of the setting (see greet): frameworks have the model say
// what it remembers of a conversation whose beginning they leave out, and all else may be the
// same in two of them.
func (t *trail) greetings(c *jsonscan.Cursor) {
	if c.Kind() == '"' {
		raw, _ := c.String()
		t.greet(raw)
		return
	}
	for ok := c.Array(); ok && t.more() && c.Element(); {
		block := *c
		switch compaction, words := t.blockOfAnswer(c); {
		case compaction:
			t.greeting = 0
			t.person(binarySalt, t.value(&block))
		case len(words) > 0 && words[0] == '"':
			t.greet(words[1 : len(words)-1])
		}
	}
}

// greet reads a text of an answer before the first words, given as written between its quotes. It
// counts only if the first words are in the next message, or if there are only more answers in
// between: LiveKit's agents put a summary before the last few messages, of which the first may be
// an answer. If there are results of tools in between, as in a window that an agent moves on with
// each of its calls, each request begins with a different answer. But the one right before the
// words stays: so an agent that has looked up whom it speaks to is told from others.
func (t *trail) greet(raw []byte) {
	withPlain(raw, func(text []byte, _ bool) {
		if text = trim(text); len(text) > 0 { // a call of a tool has none
			t.greeting = t.greeting*31 + xxhash.Sum64(text)
		}
	})
}

// blockOfAnswer reads the next value, a block of what a model says: it reports whether that is of
// the type compaction, and returns its text. Its members count as items.
func (t *trail) blockOfAnswer(c *jsonscan.Cursor) (compaction bool, words []byte) {
	if !c.Object() {
		c.Skim()
		return false, nil
	}
	var room nameRoom
	for {
		name, ok := c.Key()
		if !ok {
			return compaction, words
		}
		switch string(room.read(name)) {
		case "type":
			compaction = string(keyword(c)) == "compaction"
		case "text":
			words = c.Skim()
		default:
			c.Skim()
		}
		if !t.moreMembers() {
			return false, nil
		}
	}
}
