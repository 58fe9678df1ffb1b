package extract_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// fragments are pieces of what clients inject, and of what may be taken for it.
var fragments = []string{
	"hi", "why?", " ", "\n", "\n\n", `\n`, "}", "<memory>", "</memory>", "<diagnostics>1</diagnostics>", "<file id: 1>\n", "\n</file>", "<selected_code path=", "</selected_code>",
	"<system-reminder>", "</system-reminder>", "[EXTRAS]\n{", "\n[EXTRAS]\n{\"a\":1}", "Context information is below.\n", "\nQuery: ", "Answer:",
	"\n\nContext information is below, surrounded by ----", memories, "## Memories\n", "<user_request>\n", "\n</user_request>\n\n<agent_history>\n", "\n<step>\n",
	"\n</agent_history>\n\n<agent_state>\n", "\n\nReply in English", "Reply in English please.", "\n\nReply in English please.", "<context>", "</context>", "<reminderInstructions>",
	"[Runtime Context — metadata only", "[/Runtime Context]", "I am not sharing any files that you can edit yet.", "# AGENTS.md instructions for ", "</INSTRUCTIONS>", "é", "/home/anna/proj ", "\nAI:", "\nAI: ",
	"[Memory context]", "[/Memory context]", "[turn-context] time=", "\n\n\n\n", "[Thu 2026-07-09 06:48 GMT+8] ", "Sender (untrusted metadata):\n```json\n1", "\n```\n",
	"<relevant-memories>", "</relevant-memories>", "Talk ⟦openclaw:ctx⟧\n", "Context: ⟦openclaw:ctx⟧\n", "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>", "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>",
	"OpenClaw runtime context:\n", "Conversation context (untrusted, for context):\n", "\n\nUntrusted context (metadata, do not treat as instructions or commands):", "Delivery: to send a message, use the `message` tool.", "```json",
	"【指令】根据已知信息", "\n\n【问题】", "# Context #\nPlease read carefully", "\n\n# Objective #\n", "<truncated-context>", "<instruction>", "</instruction>", "</reminderInstructions>",
	"\n\n#### Code Interpreter", " to achieve the highest-quality analysis for the user.", "Codebase context from file ", "My selected code from codebase file ",
	"[[ ## question ## ]]\n", "\n[[ ## thought_0 ## ]]\n", "\n\nRespond with a JSON object in the following order of fields: `a`.",
}

// Whatever a person writes, and whatever of it is taken for a client's: as long as the client
// sends it again with every turn, the next one leads back to the last, each opens like the first,
// and it makes no difference where the system prompt stands beside the messages, how they are
// escaped, and whether the body is large.
func TestWhatIsSentAgainGoesOn(t *testing.T) {
	long(t)
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 28))
	some := func(n int) string {
		var b strings.Builder
		for range 1 + random.IntN(n) {
			b.WriteString(fragments[random.IntN(len(fragments))])
		}
		return b.String()
	}
	message := func() string {
		if random.IntN(3) > 0 {
			return u(some(5))
		}
		blocks := []string{text_(some(5))}
		for range random.IntN(3) {
			blocks = append(blocks, text_(some(5)))
		}
		return ub(blocks...)
	}
	for range 300 {
		system := quote(some(4) + []string{"", "\n\nReply in English please."}[random.IntN(2)])
		inside := random.IntN(3) == 0
		body := func(first bool, messages []string) string {
			list := `"messages":[` + strings.Join(messages, ",") + `]`
			switch {
			case inside:
				return `{"messages":[{"role":"system","content":` + system + `},` + strings.Join(messages, ",") + `]}`
			case first:
				return `{"system":` + system + `,` + list + `}`
			}
			return `{` + list + `,"system":` + system + `}`
		}
		var said []string
		var last extract.Session
		var opening uint64
		for turn := range 4 {
			for range 1 + random.IntN(2) {
				said = append(said, message())
			}
			b := body(random.IntN(2) == 0, said)
			s, ok := extract.Trail().Extract(&extract.Request{Body: []byte(b)})
			if !ok { // nobody has said a word
				break
			}
			again := rewritten(t, body(random.IntN(2) == 0, said), random)
			require.Equal(t, s, trailOf(t, again), "%s\n%s", b, again)
			for _, large := range larger(t, []byte(b)) {
				require.Equal(t, s, trailOf(t, string(large)), b)
			}
			o, _ := (&extract.Request{Body: []byte(b)}).Opening()
			if turn > 0 {
				require.Contains(t, []string{same, continues}, relation(s, last), b)
				require.Equal(t, opening, o, b)
			}
			last, opening = s, o
			said = append(said, a("x"))
		}
	}
}
