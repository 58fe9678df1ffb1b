package extract

import "bytes"

// addressesSubagent reports whether a system prompt, given as it opens, says to the model
// that it is a sub-agent: "You are a focused, read-only sub-agent".
func addressesSubagent(text []byte) bool {
	const longest = 80 // bytes from the start to the end of the word

	if bytes.HasPrefix(text, []byte("# ")) { // a heading
		_, text, _ = bytes.Cut(text, lineBreak)
		text = trimStart(text)
	}
	who, isYou := bytes.CutPrefix(text, []byte("You are "))
	return isYou && isCalled(who[:min(len(who), longest)], subagents, func(behind []byte) bool { return !startsWith(behind, behindOthers) })
}

// subagents are what a model is called that is one: by itself, or by its client's name.
var subagents = []string{"subagent", "sub-agent", "agent for Claude Code", "specialist for Claude Code", "agent for Crush"}

// behindOthers make of the word the name of one who has to do with sub-agents.
var behindOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
