package extract_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What a sub-agent is, its client mostly says in the first words.
func TestSubagentsInAnyWords(t *testing.T) {
	t.Parallel()
	for system, want := range map[string]extract.Class{
		"You are a specialized subagent within the goose AI framework, created by AAIF.":              extract.Subagent, // Goose
		"You are running as a sub-agent in a child workspace.":                                        extract.Subagent, // Mux
		"You are the Explore sub-agent. You are read-only and focus on fast research.":                extract.Subagent, // Grok CLI
		"You are a focused, read-only sub-agent. You can":                                             extract.Subagent, // Pydantic AI
		"You are now running as a subagent. All the `user` messages are sent by the main agent":       extract.Subagent, // kimi-cli
		`\nYou are a subagent spawned by a workflow orchestration script.`:                            extract.Subagent, // Claude Code
		"You are an agent for Claude Code, Anthropic's official CLI for Claude.":                      extract.Subagent,
		"You are a file search specialist for Claude Code, Anthropic's official CLI for Claude.":      extract.Subagent,
		"You are a software architect and planning specialist for Claude Code.":                       extract.Subagent,
		"You are a web-reading specialist for Claude Code":                                            extract.Subagent,
		"You are an agent for Crush. Given the user's prompt, use the tools":                          extract.Subagent,
		"You are a web content analysis agent for Crush.":                                             extract.Subagent,
		"You are Claude Code, Anthropic's official CLI for Claude.":                                   extract.Turn,
		"You are a subagent, and one of the sub-agents of a team.":                                    extract.Subagent,
		"You are a coding assistant with access to subagents.":                                        extract.Turn, // Cline
		"You are a supervisor that has a subagent for each task.":                                     extract.Turn,
		"You are a manager. Each subagent reports to you.":                                            extract.Turn,
		`You are the lead engineer\nUse one subagent per task.`:                                       extract.Turn,
		"You are the sub-agent coordinator of this team.":                                             extract.Turn,
		"You are a subagent orchestrator.":                                                            extract.Turn,
		"You are Bob, skilled in subagent delegation.":                                                extract.Turn,
		"You are an AI assistant and subagent manager":                                                extract.Turn,
		"You are an agent using a subagent per task.":                                                 extract.Turn,
		"You are an agent whose subagent is called Bob.":                                              extract.Turn,
		"You are the main agent (not a subagent).":                                                    extract.Turn,
		"You are a subagent-aware assistant.":                                                         extract.Turn,
		"You are kind; the subagents are not.":                                                        extract.Turn,
		"Explain what a subagent is.":                                                                 extract.Turn,
		`# Subagent\n\nYou are a subagent spawned by the main agent to complete a specific task.`:     extract.Subagent, // nanobot
		`# Subagent Context\n\nYou are a **subagent** spawned by the main agent for a specific task.`: extract.Subagent,
		`# Subagents\n\nYou are the main agent.`:                                                      extract.Turn,
		"# Subagent":                                                                                  extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
	}
	require.Equal(t, extract.Turn, says("", "You are a subagent").Class())
	require.Equal(t, extract.Compaction, says("You are a subagent.", "CRITICAL: Respond with TEXT ONLY. Do not").Class())
	for _, h := range []http.Header{header("X-Parent-Session-Id", "ses_1"), header("X-Claude-Code-Agent-Id", "a1"), header("X-Openai-Subagent", "review")} {
		for person, want := range map[string]extract.Class{
			"CRITICAL: Respond with TEXT ONLY. Do not":                       extract.Compaction,
			"Please write a 5-10 word title for the following conversation:": extract.Auxiliary,
			"Find the tests.": extract.Subagent,
		} {
			r := says("be kind", person)
			r.Header = h
			require.Equal(t, want, r.Class(), "%s %v", person, h)
		}
	}
}
