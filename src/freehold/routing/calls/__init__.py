"""Tool calls as models really write them: found in text, read where they are broken, fitted to the tools that were offered."""
