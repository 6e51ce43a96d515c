"""Durable rooms: what is appended is committed, numbered and handed on in one order."""
