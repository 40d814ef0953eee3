# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ``bucket`` does: makes a bucket, makes it safe, and says of each feature what the service made of it.

``report``, ``lifecycle`` and ``policy`` are pure; ``administration`` asks the server; ``features`` has one function a
feature.
"""
