"""One case from settings to verdict, the session around all cases, and the run folder.

Never imports pytest.
"""
