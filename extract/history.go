package extract

import (
	"bytes"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Many applications write the conversation so far into the system prompt, and send nothing
// but the question at hand beside it: Langflow's chatbot with a memory, Spring AI's advisor
// for prompts, and what guides of LangChain teach. So each turn has another system prompt,
// and no answer among its messages:
//
//	You are a kind assistant.
//
//	History:
//	User: Where is Oslo?
//	AI: In Norway.
//
// The next such prompt has the question at hand in its last line of a person. So a turn
// is looked for by that question and the one in front of it. The first question has none
// in front: it counts alone if it is longer than a greeting, and if there is a heading
// under which nobody had said anything when it was asked. (What somebody had said there
// may be an example.) What is found is no more than a place to start at, and only where
// the system prompt is the same in front of the conversation or, since some have
// documents there, at least begins alike.

// history returns the settings of the questions in a system prompt, the best first, what a
// later turn may find this one by, and what this one may find the turn before by; zero sums
// if there is nothing.
func (t *trail) history() (in [2]sum, here, before sum) {
	if t.answered {
		return
	}
	now := bareLine(t.lastWords)
	asked, front, headed, open := conversationAt(t.ending)
	if open && bytes.Equal(asked[0], now) { // some have the question at hand there as well
		asked = [3][]byte{asked[1], asked[2]}
	}
	pair := func(last, before []byte) sum {
		const shortest = 16 // bytes of a first question
		switch {
		case before == nil && (!headed || len(last) < shortest),
			before != nil && (bytes.Equal(before, last) || len(before)+len(last) < minTail):
			return sum{}
		}
		return sum{}.add(textSalt, xxhash.Sum64(before)).add(textSalt, xxhash.Sum64(last))
	}
	here, before = pair(now, asked[0]), pair(asked[0], asked[1])
	if here == (sum{}) && before == (sum{}) {
		return
	}
	texts := t.systemAmong.texts
	if t.systemAmong.n == 0 {
		texts = t.system.texts
	}
	first, _, _ := bytes.Cut(texts[0], lineBreak)
	in[0] = sum{}.add(historySalt, withoutTimes(front, xxhash.Sum64(front)))
	in[1] = sum{}.add(historySalt, xxhash.Sum64(first))
	return
}

// conversationAt returns the last questions of a person in a text, the last one first;
// what stands before the conversation; and whether that has a heading, and ends in a
// question.
func conversationAt(text []byte) (asked [3][]byte, front []byte, headed, open bool) {
	for rest := text; len(rest) > 0; {
		at := len(text) - len(rest)
		var line []byte
		line, rest, _ = bytes.Cut(rest, lineBreak)
		words := askedIn(line)
		if line = trim(line); len(line) == 0 {
			continue
		}
		heads := !headed && words == nil && headsHistory(line)
		if !headed && asked[0] == nil && (heads || words != nil) {
			front = text[:at]
		}
		if headed, open = headed || heads, words != nil; open {
			asked = [3][]byte{words, asked[0], asked[1]}
		}
	}
	return asked, front, headed, open
}

// bareLine returns the first line of a text, as it may stand behind a label.
func bareLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, lineBreak)
	return bytes.Trim(trim(line), ` *\"'`)
}

// askedIn returns what a person says in a line of a conversation: "User: hi", "**Human:** hi",
// "<user>hi</user>"; nil if nobody says anything. Most lines are told by their first letter.
func askedIn(line []byte) []byte {
	const longest = 16 // bytes behind the name
	for len(line) > 0 && (line[0] < '0' || line[0] == '<' || line[0] == '[') {
		line = line[1:]
	}
	if len(line) == 0 || line[0]|('a'-'A') > 'z' {
		return nil
	}
	for _, name := range people[line[0]|('a'-'A')] {
		if n := len(name); len(line) > n && strings.EqualFold(string(line[:n]), name) {
			if i := bytes.IndexAny(line[n:min(len(line), n+longest)], ":>]"); i >= 0 {
				words, end := line[n+i+1:], -1
				if line[n+i] == '>' {
					end = bytes.LastIndex(words, []byte("</"))
				}
				if end >= 0 {
					words = words[:end]
				}
				if words = bareLine(words); len(words) > 0 {
					return words
				}
			}
		}
	}
	return nil
}

// people are what a person is called in such lines, in lower case.
var people = stemsOf("user", "human", "customer", "question")

// headsHistory reports whether a line is the heading of a conversation, such as
// "Previous conversation:", "## Memory" or "--- Chat history ---".
func headsHistory(line []byte) bool {
	first, last := line[0], line[len(line)-1]
	heads := last == ':' || first == '#' || first == '<' ||
		strings.IndexByte("-=*[", first) >= 0 && strings.IndexByte("-=*]", last) >= 0
	return heads && historyWords.in(bytes.ToLower(line))
}

var historyWords = signs{{"history", "conversation", "memory", "transcript", "dialog"}}
